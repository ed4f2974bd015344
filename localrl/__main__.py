"""`python -m localrl` is the same program as `localrl`."""

from localrl.cli import main

main()
