"""Who holds which KV cells: allocation, shared prefixes, the prefix cache and preemption."""
