"""Our engine behind OpenAI's API, for everybody's clients: `localrl serve`.

A request passes through `guard` (may it come in), `body` (what it asks), `admission` (when its turn comes)
and `owner` (the thread that owns the engine); `chat`, `completions` and `tokens` answer it.
"""
