"""An observer that ends a run as a signal would."""

import os
import signal

from dcc_core import hookimpl


class Interrupting:
    """Ends the run after some steps, as a signal would."""

    def __init__(self, steps):
        self.steps = steps

    @hookimpl
    def dcc_step_finished(self, report):
        self.steps -= 1
        if self.steps == 0:
            os.kill(os.getpid(), signal.SIGTERM)
