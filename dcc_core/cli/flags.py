"""The flags that commands share: the parts of a run by name, and the engine's options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from dcc_core.cli.completion import Offer, offer_option, offer_pairs
from dcc_core.config import DEFAULT_NAMES, ENGINE_SECTIONS, Rank, Settings, schema


@dataclass(frozen=True)
class Flag:
    """A flag, the dotted key that it sets, and its help if that is not the option's own.

    switch: it has no value but a counterpart, `--no-...`; they say `on` and `off`.
    """

    name: str
    key: str
    help: str = ""
    repeatable: bool = False
    switch: bool = False


def with_flags(
    flags: tuple[Flag, ...], *, defaults: bool, sections: Mapping[str, type] = MappingProxyType({})
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add flags to a command, then `--config` and `-o`.

    defaults: show the options' own in the help. sections: dataclasses of options that the command has beside the
    engine's, by section.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        any_option = {"metavar": "KEY=VALUE", "multiple": True, "shell_complete": offer_pairs}
        command = click.option("-o", "pairs", help="any option, e.g. -o loss.distance=cosine", **any_option)(command)
        command = click.option("--config", "config_file", type=click.Path(path_type=Path), help="TOML file of options")(
            command
        )
        for flag in reversed(flags):
            words, default, metavar, offer = _help(flag, {**ENGINE_SECTIONS, **sections})
            text = ",".join(default) if isinstance(default, tuple) else default
            shown = f"  [default: {text}]" if defaults and default not in (None, ()) else ""
            name = f"{flag.name}/{flag.name.replace('--', '--no-')}" if flag.switch else flag.name
            how = {"default": None} if flag.switch else {"metavar": metavar, "multiple": flag.repeatable}
            command = click.option(name, help=words + shown, shell_complete=offer, **how)(command)
        return command

    return decorate


def with_results(default: str, *, again: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add where a command's results go, and how they are shown. again: what `--overwrite` does."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in (
            click.option("--quiet", is_flag=True, help="show nothing but errors and the result"),
            click.option("--json", "as_json", is_flag=True, help="print the result as JSON, the last line of stdout"),
            click.option("--overwrite", is_flag=True, help=again),
            click.option(
                "--out", type=click.Path(path_type=Path), help=f"folder for the results  [default: {default}]"
            ),
        ):
            command = option(command)
        return command

    return decorate


def with_resuming(command: Callable[..., None]) -> Callable[..., None]:
    """Add the flags that resume an interrupted run."""
    for option in (
        click.option("--resume-anyway", is_flag=True, help="resume although versions or harmless options have changed"),
        click.option(
            "--resume",
            type=click.Path(path_type=Path),
            metavar="FOLDER",
            help="resume the unfinished run in a folder, with its options",
        ),
    ):
        command = option(command)
    return command


def with_preview(command: Callable[..., None]) -> Callable[..., None]:
    """Add whether the images are shown on the terminal."""
    return click.option("--preview", is_flag=True, help="show the images on the terminal too")(command)


def add_flags(
    settings: Settings,
    flags: tuple[Flag, ...],
    values: Mapping[str, str | tuple[str, ...] | bool | None],
    config_file: Path | None,
    pairs: tuple[str, ...],
) -> Settings:
    """Lay a configuration file, `-o` and flags over settings. Raises DccError if they cannot be read."""
    if config_file:
        settings.add_file(config_file)
    settings.add_options(pairs)
    for flag in flags:
        value = values[flag.name.removeprefix("--").replace("-", "_")]
        if value not in (None, ()):
            said = {True: "on", False: "off"}[bool(value)] if flag.switch else value
            settings.add({flag.key: said}, flag.name, Rank.FLAG)
    return settings


def _help(flag: Flag, sections: Mapping[str, type]) -> tuple[str, Any, str, Offer]:
    """Help, default and metavar of a flag, and what a shell offers for it."""
    section, _, name = flag.key.partition(".")
    if not name:
        return flag.help, DEFAULT_NAMES.get(section), "NAME", offer_option(flag.key, None)
    option = schema(sections[section])[name]
    metavar = "N" if option.expected.startswith("an integer") else "NAME" if flag.repeatable else "TEXT"
    return flag.help or option.help, option.default, metavar, offer_option(flag.key, option)
