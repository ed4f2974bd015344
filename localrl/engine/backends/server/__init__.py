"""OpenAI-compatible servers as a backend: vLLM, SGLang, llama-server, Ollama, LM Studio, mlx_lm.server."""
