"""The yardstick: decode n streams and sample from each, in a bare loop over llama.cpp's C API, nothing else.

A child of `engine.py`: reads lines of `STREAMS TOKENS`, answers with the seconds that the decoding took.
"""

from __future__ import annotations

import ctypes
import sys
import time

import llama_cpp as lib
import numpy as np

from localrl.engine.backends.llama_cpp.allocation import may_repack

PROMPT = 32


def main(path: str, cells: int, threads: int, top_k: int) -> None:
    quiet = lib.llama_log_callback(lambda *_: None)
    lib.llama_log_set(quiet, ctypes.c_void_p(0))
    loading = lib.llama_model_default_params()
    loading.use_extra_bufts = may_repack(lib)
    model = lib.llama_model_load_from_file(path.encode(), loading)
    params = lib.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = cells, 512, 512, 256
    params.kv_unified, params.no_perf = True, True
    params.n_threads = params.n_threads_batch = threads
    context = lib.llama_init_from_model(model, params)
    memory = lib.llama_get_memory(context)
    batch = lib.llama_batch_init(512, 0, 1)
    for line in sys.stdin:
        streams, tokens = map(int, line.split())
        lib.llama_memory_clear(memory, True)
        chains = []
        for seed in range(streams):
            chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
            for part in (
                lib.llama_sampler_init_top_k(top_k),  # 0 lets all pass
                lib.llama_sampler_init_top_p(0.95, 1),
                lib.llama_sampler_init_temp(0.7),
                lib.llama_sampler_init_dist(seed),
            ):
                lib.llama_sampler_chain_add(chain, part)
            chains.append(chain)
        last = []
        for stream in range(streams):
            prompt = np.random.default_rng(stream).integers(1000, 20000, PROMPT)
            batch.n_tokens = PROMPT
            for i, token in enumerate(prompt):
                batch.token[i], batch.pos[i], batch.n_seq_id[i] = int(token), i, 1
                batch.seq_id[i][0], batch.logits[i] = stream, i == PROMPT - 1
            assert lib.llama_decode(context, batch) == 0
            last.append(lib.llama_sampler_sample(chains[stream], context, PROMPT - 1))
        began = time.perf_counter()
        batch.n_tokens = streams
        for step in range(tokens):
            for stream in range(streams):
                batch.token[stream], batch.pos[stream] = last[stream], PROMPT + step
                batch.seq_id[stream][0], batch.logits[stream] = stream, 1
            assert lib.llama_decode(context, batch) == 0
            last = [lib.llama_sampler_sample(chains[s], context, s) for s in range(streams)]
        print(time.perf_counter() - began, flush=True)
        for chain in chains:
            lib.llama_sampler_free(chain)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
