"""Running models: backends behind one protocol, in a worker process that may die without harm."""

import os

# Before any native library is loaded, here and in the worker, which inherits it. llama.cpp's threads wait for
# each other some thousand times a token, and OpenMP lets them spin: on a machine that does anything else as
# well, a thread then spins for one that is not running. Measured on 2 cores beside one busy process, 60
# tokens of the starter took 23.6 s, and 2.8 s with this; on the idle machine there is no difference.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# When an assertion of ggml fails it would start a debugger, which writes into the worker's pipe.
os.environ.setdefault("GGML_NO_BACKTRACE", "1")
