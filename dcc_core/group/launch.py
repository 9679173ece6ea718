"""The group that this process was started in. Imports no torch unless there are several processes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from dcc_core.group.group import ALONE, Group


def is_launched() -> bool:
    """Whether this process was started as one of several, by torchrun or in its way."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "1")


def is_speaker() -> bool:
    """Whether this process says what all of them would say."""
    return not is_launched() or os.environ.get("RANK") == "0"


@contextlib.contextmanager
def current_group() -> Iterator[Group]:
    """The group that this process was started in. Raises DccError if the others cannot be reached."""
    if not is_launched():
        yield ALONE
        return
    from dcc_core.group.torch_distributed import join_processes

    with join_processes() as group:
        yield group
