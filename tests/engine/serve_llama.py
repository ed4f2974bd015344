"""llama-cpp-python's own server, with models loaded as the engine loads them: it has no flag for that."""

from __future__ import annotations

import runpy

import llama_cpp.llama_cpp as lib

from localrl.engine.backends.llama_cpp.allocation import may_repack

defaults = lib.llama_model_default_params


def params() -> lib.llama_model_params:
    chosen = defaults()
    chosen.use_extra_bufts = may_repack(lib)
    return chosen


lib.llama_model_default_params = params
runpy.run_module("llama_cpp.server", run_name="__main__", alter_sys=True)
