"""`python start.py MODE [KEY=VALUE...]`: the one command that the sandbox starts. See `runner.py`."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])
from runner import main

main(sys.argv[1:])
