"""Running models: backends behind one protocol, in a worker process that may die without harm."""

import os

SPIN_COUNT = "30000"
# Before any native library is loaded, here and in the worker, which inherits it: how long llama.cpp's threads
# spin for each other on a quiet machine. `backends/llama_cpp/spinning.py` tells when it is quiet.
os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
# When an assertion of ggml fails it would start a debugger, which writes into the worker's pipe.
os.environ.setdefault("GGML_NO_BACKTRACE", "1")
