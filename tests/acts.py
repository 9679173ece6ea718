"""Pieces of work for tests of workers. Imports nothing, so that processes begin at once."""

import os
import signal
from pathlib import Path


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
