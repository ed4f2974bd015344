"""One file a verifier; see `verify/base.py`."""
