"""The trainer for GGUF models on the processor and on CUDA. Nothing outside this folder imports torch."""

import os

# Read when torch is loaded: waiting threads sleep. Where others want the cores, those that spin take several
# times the processor's time (70 s instead of 13 s a step were measured on two busy cores).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
