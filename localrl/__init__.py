"""localrl: run reasoning models on your own machine, and measure what they get right and how fast."""

__version__ = "0.1.0"
