"""The LoRA adapter of a llama.cpp context: one at most, changed without loading the model again."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import llama_cpp as lib

from localrl.catalog import adapters
from localrl.engine.backends.llama_cpp import library
from localrl.errors import UsageError


class LoadedAdapter:
    def __init__(self, model: Any, context: Any, architecture: str) -> None:
        self._model, self._context, self._architecture = model, context, architecture
        self._adapter: Any = None

    def replace(self, path: str | None) -> None:
        """Take the adapter off and put another on.

        Raises:
            UsageError: the file is no adapter of this model; the model then has none.
        """
        # Off before it is freed: the next may get its address, and llama.cpp compares no more than that.
        lib.llama_set_adapters_lora(self._context, None, 0, None)
        if self._adapter:
            lib.llama_adapter_lora_free(self._adapter)
            self._adapter = None
        if path is None:
            return
        adapters.check(Path(path), self._architecture)
        self._adapter = lib.llama_adapter_lora_init(self._model, path.encode())
        if not self._adapter:
            raise UsageError(f"{path} is no adapter of this model: {library.last_error()}")
        one = (lib.llama_adapter_lora_p_ctypes * 1)(self._adapter)
        lib.llama_set_adapters_lora(self._context, one, 1, (ctypes.c_float * 1)(1.0))
