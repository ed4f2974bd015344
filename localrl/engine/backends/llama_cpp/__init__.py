"""llama.cpp as a backend: GGUF files, on the processor and on every accelerator that the build knows."""
