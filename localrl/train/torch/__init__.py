"""The trainer for GGUF models on the processor and on CUDA. Nothing outside this folder imports torch."""
