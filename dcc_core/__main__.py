"""`python -m dcc_core` is `dcc`."""

from dcc_core.cli import main

main()
