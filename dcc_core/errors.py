"""Errors a user can act on. The command line prints the message and exits with code 2."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path


class DccError(Exception):
    """Something the user can mend. The message quotes the value, what was expected, and a hint."""

    exit_code = 2


class IncompleteError(DccError):
    """Some of the work is done, some failed; what failed has been said."""

    exit_code = 1


class SilentError(DccError):
    """An error that another process of the run says."""


class ContractError(DccError):
    """A component breaks a rule of its kind: the fault is the plugin's. The message says which rule it is.

    The innermost code knows the rule, an outer one the component's name and plugin. title: of the component, once it
    is named; of components around it that pass the error on, none is named too.
    """

    def __init__(self, message: str, title: str = "") -> None:
        self.title = title
        super().__init__(f"{title} breaks a rule of its kind: {message}" if title else message)

    def of(self, title: str) -> ContractError:
        """The same error with the component named; `title` as `Provided.title` gives it."""
        return ContractError(str(self), title)


class OptionError(DccError):
    """One or more wrong options, reported together.

    `problems` holds one line per option, each beginning with the option's dotted key.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        if len(self.problems) == 1:
            message = self.problems[0]
        else:
            message = f"{len(self.problems)} options are wrong\n" + "\n".join(f"  {p}" for p in self.problems)
        super().__init__(message)


def as_dcc_error(error: BaseException) -> DccError:
    """An error that nobody foresaw, in a form that can be shown; one of ours as it is."""
    if isinstance(error, DccError):
        return error
    return DccError(f"{type(error).__name__}: {error}\n  DCC_DEBUG=1 shows where")


@contextlib.contextmanager
def breaches_of(title: str) -> Iterator[None]:
    """Name a component in any breach of its contract that is noticed inside."""
    try:
        yield
    except ContractError as error:
        if error.title:
            raise
        raise error.of(title) from error


@contextlib.contextmanager
def faults_of(title: str) -> Iterator[None]:
    """`breaches_of`, and name the component in any error that nobody foresaw."""
    try:
        with breaches_of(title):
            yield
    except DccError:
        raise
    except Exception as error:
        raise DccError(f"{title} failed: {as_dcc_error(error)}") from error


class NotFiniteError(DccError):
    """A loss, a gradient or an image is NaN or infinite. The message names it and its classes."""


class Stopped(KeyboardInterrupt):
    """A signal asked the run to end. `exit_code` is what shells expect of such a process."""

    def __init__(self, signal: int, message: str = "") -> None:
        super().__init__(message)
        self.signal = signal
        self.exit_code = 128 + signal


class PluginWarning(UserWarning):
    """A plugin was left out, or two plugins claim one name. Fatal only if that name is asked for."""


def check_regular(path: Path) -> Path:
    """A path that is no pipe or device, from which reading would wait. Raises OSError; ValueError for a NUL in it."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError("it is a pipe or a device; expected a regular file")
    return path


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The suggestion ` Did you mean 'x'?` for a mistyped word, or the empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f" Did you mean '{close[0]}'?" if close else ""
