"""What a shell offers where TAB is pressed: names of components, the engine's options, the words of a choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click
from click.shell_completion import CompletionItem

from dcc_core.cli.call import registry_of_call
from dcc_core.config import ENGINE_SECTIONS, Option, schema

Offer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
LISTED = {"score.arch": "arch", "run.log": "log", "run.init": "selection"}
"""Options whose values are components, and the kind of these."""


def offer_components(kind: str) -> Offer:
    """Offer the names of a kind, and of a family the part before its argument."""

    def offer(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
        rows = registry_of_call(ctx).components(kind)
        return _matching({row.component.prefix: row.component.summary for row in rows}, begun)

    return offer


def offer_option(key: str, option: Option | None) -> Offer:
    """Offer what an option takes; option: None for the name of a component."""
    if option is None or key in LISTED:
        return offer_components(LISTED.get(key, key))
    return lambda ctx, param, begun: _matching(dict.fromkeys(option.choices, ""), begun)


def offer_pairs(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the engine's options for `-o`, and after the `=` what each takes."""
    known = {f"{section}.{name}": o for section, cls in ENGINE_SECTIONS.items() for name, o in schema(cls).items()}
    key, equals, value = begun.partition("=")
    if not equals:
        return _matching({f"{name}=": option.help for name, option in known.items()}, begun)
    items = offer_option(key, known[key])(ctx, param, value) if key in known else []
    return [CompletionItem(f"{key}={item.value}", help=item.help) for item in items]


def _matching(words: Mapping[str, str], begun: str) -> list[CompletionItem]:
    return [CompletionItem(word, help=words[word]) for word in words if word.startswith(begun)]
