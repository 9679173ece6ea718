"""What one call of a command looks up once."""

from __future__ import annotations

import warnings

import click

from dcc_core.plugins import Registry

REGISTRY = "dcc_core.registry"
"""The key of click's context under which a call keeps its registry."""


def registry_of_call(context: click.Context | None = None) -> Registry:
    """What is installed, looked up once for a call of `dcc` and its command, so that each warning comes once.

    context: of the call; by default the current one.
    """
    meta = (context or click.get_current_context()).meta
    if REGISTRY not in meta:
        if (context or click.get_current_context()).resilient_parsing:  # a shell asks, in the middle of a line
            warnings.simplefilter("ignore")
        meta[REGISTRY] = Registry.installed()
    return meta[REGISTRY]
