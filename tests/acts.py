"""Pieces of work for tests of workers. Imports nothing, so that processes begin at once."""

import os
import signal
from pathlib import Path

HOLD = """
import sys, time
from pathlib import Path
from dcc_core.runs.lock import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
"""A program that holds the lock of a folder, its argument, for a minute."""


class Acts:
    """What is done hangs on the value."""

    def __call__(self, value):
        what, _, where = value.partition(" ")
        if what == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "dies-once" and not Path(where).exists():
            Path(where).touch()
            os.write(2, b"famous\nlast words\n")
            os._exit(3)
        if what == "errs":
            raise KeyError("no such key")
        if what == "threads":
            import torch

            return torch.get_num_threads()
        return os.getpid()
