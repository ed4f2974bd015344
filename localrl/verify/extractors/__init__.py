"""One file an extractor; see `verify/base.py`."""
