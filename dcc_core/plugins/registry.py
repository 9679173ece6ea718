"""Finds the components of all plugins. A value that is passed on, never a global."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from types import ModuleType, SimpleNamespace
from typing import Any

import pluggy

from dcc_core.errors import ContractError, DccError, PluginWarning, did_you_mean, faults_of
from dcc_core.plugins import hookspecs
from dcc_core.plugins.component import KINDS, Component, Kind, find_kind
from dcc_core.plugins.lookup import Broken, Found, Origin, Provided
from dcc_core.plugins.shadowed import shadowed_versions

ENTRY_POINTS = "dcc"
PYTHON = "python"
"""The provider of components that are given as objects: their names are `python:NAME@DIGEST`."""


class Registry:
    """All components of some plugins, and the observers among them.

    plugins: manifest modules (or any objects with hook implementations).
    origins: where each comes from, in the same order; by default named after the module.
    """

    def __init__(self, plugins: Iterable[object] = (), origins: Iterable[Origin] = ()) -> None:
        self.broken: list[Broken] = []
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._origins: dict[str, Origin] = {}
        self._rows: dict[str, list[Provided]] = {}
        self._silenced: set[tuple[str, str]] = set()
        self._listeners: dict[str, str] = {}
        given = list(plugins)
        known = list(origins) or [Origin(_module_name(p)) for p in given]
        for plugin, origin in zip(given, known, strict=True):
            self._add(plugin, origin)

    @classmethod
    def installed(cls, *more: object) -> Registry:
        """The plugins of all installed distributions, entry points of the group `dcc`, and these beside them.

        Of two versions of a distribution Python silently uses the one that it finds first; the other is named
        as left out.
        """
        registry = cls()
        for point in sorted(metadata.entry_points(group=ENTRY_POINTS), key=_builtin_first):
            name, version = (point.dist.name, point.dist.version) if point.dist else ("", "")
            origin = Origin(point.name, name, version)
            try:
                plugin = point.load()
            except (Exception, SystemExit) as error:
                registry._leave_out(origin, f"{type(error).__name__}: {error}")
            else:
                registry._add(plugin, origin)
            for hidden, reason in shadowed_versions(point.dist, ENTRY_POINTS):
                registry._leave_out(replace(origin, version=hidden), reason)
        for plugin in more:
            registry._add(plugin, Origin(_module_name(plugin)))
        return registry

    def components(self, kind: str | None = None) -> Iterator[Provided]:
        """Every component, by kind and in the order of the plugins; of one kind if it is named."""
        for k in KINDS:
            if kind is None or kind in (k.name, k.key):
                yield from self._of(k)

    def conflicts(self) -> dict[tuple[str, str], list[Provided]]:
        """Names claimed more than once, keyed by (kind, name)."""
        claims: dict[tuple[str, str], list[Provided]] = {}
        for row in self.components():
            claims.setdefault((row.kind.name, row.component.name), []).append(row)
        return {key: rows for key, rows in claims.items() if len(rows) > 1}

    def find(self, kind: str, name: str) -> Found:
        """Look a name up: `collective`, qualified `acme:collective`, or of a family `folder:PATH`.

        Raises DccError for a name that is unknown, or claimed by two plugins and not qualified.
        """
        k = find_kind(kind)
        rows = self._of(k)
        plain = [found for row in rows if (found := _match(row, name))]
        provider, _, rest = name.partition(":")
        qualified = [f for row in rows if row.origin.provider == provider and (f := _match(row, rest))]
        matches = plain or qualified
        if len(matches) == 1:
            return matches[0]
        if matches:
            choices = " or ".join(f"'{m.provided.origin.provider}:{name}'" for m in matches)
            raise DccError(f"{k.name} '{name}' is claimed by {len(matches)} plugins: write {choices}")
        raise DccError(self._unknown(k, name, rows))

    def name_objects(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], Registry]:
        """Options with names for the objects among them, and a registry that knows the names: `python:NAME@DIGEST`.

        Raises DccError for an object that no plugin knows.
        """
        named, hooks = dict(values), {}
        for name, function, _ in reversed(self._implementations("dcc_objects")):
            with faults_of(f"plugin {self._origins[name]}"):
                named, rows = function(values=named, registry=self)
            hooks |= {find_kind(kind).hook: hookspecs.hookimpl(lambda own=own: own) for kind, own in rows.items()}
        others = {origin: self._manager.get_plugin(name) for name, origin in self._origins.items() if name != PYTHON}
        if not hooks:
            return named, self
        return named, Registry([*others.values(), SimpleNamespace(**hooks)], [*others, Origin(PYTHON)])

    def name_of(self, kind: str, cls: type, argument: object = None) -> str | None:
        """The name under which a class is registered, or None. argument: of a family, what replaces the placeholder."""
        target = f"{cls.__module__}:{cls.__qualname__}"
        rows = [r.component for r in self.components(kind) if r.component.target == target]
        return next((f"{c.prefix}{argument}" if c.family else c.name for c in rows), None)

    def versions(self) -> dict[str, str]:
        """Versions of the distributions that plugins come from."""
        pairs = {o.name_in_files: o.version for o in self._origins.values() if o.distribution}
        return dict(sorted(pairs.items()))

    def manifests(self) -> dict[Origin, str]:
        """The name of the module with each plugin's hooks, in the order of the plugins."""
        return {origin: _manifest_of(self._manager.get_plugin(name)) for name, origin in self._origins.items()}

    def listens(self, hook: str) -> bool:
        """Whether any plugin or observer has an observer hook."""
        return any(True for _ in self._implementations(hook))

    def notify(self, hook: str, **arguments: object) -> None:
        """Call an observer hook of every plugin. One that raises is named once and not called again."""
        for name, function, argnames in self._implementations(hook):
            if (name, hook) in self._silenced:
                continue
            try:
                function(*(arguments[a] for a in argnames))
            except Exception as error:
                self._silenced.add((name, hook))
                title = self._listeners.get(name) or f"observer {self._origins[name]}"
                warnings.warn(
                    f"{title} failed in {hook} and is left out from here on: {type(error).__name__}: {error}",
                    PluginWarning,
                    stacklevel=2,
                )

    @contextlib.contextmanager
    def listening(self, name: str, title: str, listener: object) -> Iterator[None]:
        """Have an object's observer hooks called while the context lasts. title: of its observer, for messages.

        Raises ContractError for an object without such hooks, or with others.
        """
        self._register(listener, name)
        hooks = {caller.name for caller in self._manager.get_hookcallers(listener) or ()}
        if not hooks or hooks & {kind.hook for kind in KINDS}:
            self._manager.unregister(name=name)
            raise ContractError(
                "listen gives an object whose methods are observer hooks, marked with hookimpl; "
                f"{type(listener).__name__} has {', '.join(sorted(hooks)) or 'none'}"
            )
        self._listeners[name] = title
        try:
            yield
        finally:
            self._manager.unregister(name=name)
            del self._listeners[name]
            self._silenced = {(who, hook) for who, hook in self._silenced if who != name}

    def _add(self, plugin: object, origin: Origin) -> None:
        name = origin.provider
        if name in self._origins:
            hint = f"; uninstall one of them (pip uninstall {origin.distribution})" if origin.distribution else ""
            self._leave_out(origin, f"another plugin is called '{name}' already: {self._origins[name]}{hint}")
            return
        built_for = getattr(plugin, "DCC_API", hookspecs.API)
        if built_for != hookspecs.API:
            self._leave_out(origin, f"it is built for API {built_for} of dcc, and this dcc has API {hookspecs.API}")
            return
        try:
            self._register(plugin, name)
        except Exception as error:
            self._leave_out(origin, str(error) if isinstance(error, DccError) else f"{type(error).__name__}: {error}")
            return
        self._origins[name] = origin

    def _register(self, plugin: object, name: str) -> None:
        """Have an object's hooks called. Raises ContractError for one that there is not."""
        try:
            self._manager.register(plugin, name)
            stray = [c.name for c in self._manager.get_hookcallers(plugin) or () if not c.has_spec()]
            if stray:
                hint = did_you_mean(stray[0], [n for n in vars(hookspecs) if n.startswith("dcc_")])
                raise ContractError(f"unknown hook '{stray[0]}'.{hint}")
        except Exception:
            if self._manager.get_plugin(name) is not None:
                self._manager.unregister(name=name)
            raise

    def _of(self, kind: Kind) -> list[Provided]:
        if kind.name not in self._rows:
            rows: list[Provided] = []
            for name, function, _ in self._implementations(kind.hook):
                origin = self._origins[name]
                try:
                    rows += [Provided(kind, _check_row(c), origin) for c in function()]
                except Exception as error:
                    self._leave_out(origin, f"{kind.hook}: {type(error).__name__}: {error}")
            self._rows[kind.name] = rows
            self._warn_of_conflicts(kind, rows)
        return self._rows[kind.name]

    def _implementations(self, hook: str) -> list[tuple[str, Callable[..., Any], tuple[str, ...]]]:
        """Name, function and argument names of each plugin's implementation, in order of registration."""
        caller = getattr(self._manager.hook, hook)
        return [(i.plugin_name, i.function, i.argnames) for i in caller.get_hookimpls()]

    def _leave_out(self, origin: Origin, reason: str) -> None:
        reason = " ".join(reason.split())
        self.broken.append(Broken(origin, reason))
        warnings.warn(f"plugin {origin} not loaded: {reason}", PluginWarning, stacklevel=3)

    def _warn_of_conflicts(self, kind: Kind, rows: list[Provided]) -> None:
        first: dict[str, Provided] = {}
        for row in rows:
            other = first.setdefault(row.component.name, row)
            if other is not row:
                warnings.warn(
                    f"plugin {row.origin} claims the {kind.name} '{row.component.name}', which "
                    f"{other.origin} has too; write '{other.qualified}' or '{row.qualified}'",
                    PluginWarning,
                    stacklevel=3,
                )

    def _unknown(self, kind: Kind, name: str, rows: list[Provided]) -> str:
        if name.startswith(f"{PYTHON}:"):
            return (
                f"{kind.name} '{name}' was given in Python; give it again: condense, select and score of dcc_core take "
                f"{kind.key}=..., and condense(resume=FOLDER, {kind.key}=...) resumes a run"
            )
        lines = [f"no {kind.name} named '{name}'.{_hint(name, rows)}"]
        by_origin: dict[Origin, list[str]] = {}
        for row in rows:
            by_origin.setdefault(row.origin, []).append(row.component.name)
        listed = " · ".join(f"{', '.join(names)} ({o.provider})" for o, names in by_origin.items())
        if "," in name and "=" in name:
            lines.append(f"  options are given one by one: -o {kind.key}.{name.split(',')[1]}")
        lines.append(f"  available: {listed or 'none'}")
        lines += [f"  not loaded: {b.origin}: {b.reason}" for b in self.broken]
        return "\n".join(lines)


def _match(row: Provided, name: str) -> Found | None:
    component = row.component
    if not component.family:
        return Found(row) if component.name == name else None
    if name.startswith(component.prefix) and len(name) > len(component.prefix):
        return Found(row, name[len(component.prefix) :])
    return None


def _hint(name: str, rows: list[Provided]) -> str:
    """A did-you-mean over the rows' names and, if none is very close, over their families' members."""
    plain = [r.component.name for r in rows]
    if very_close := did_you_mean(name, plain, cutoff=0.85):
        return very_close
    members: list[str] = []
    for row in rows:
        with contextlib.suppress(DccError):  # a family that cannot list its names is not what was asked for
            members += row.members()
    same = [m for m in members if re.split("[:/]", m, maxsplit=1)[-1] == name]
    return f" Did you mean '{same[0]}'?" if same else did_you_mean(name, [*plain, *members])


def _check_row(row: object) -> Component:
    if not isinstance(row, Component):
        raise TypeError(f"expected dcc_core.Component, got {type(row).__name__}")
    return row


def _module_name(plugin: object) -> str:
    return getattr(plugin, "__name__", type(plugin).__name__)


def _manifest_of(plugin: object) -> str:
    return plugin.__name__ if isinstance(plugin, ModuleType) else getattr(plugin, "__module__", "")


def _builtin_first(point: metadata.EntryPoint) -> tuple[bool, str]:
    return (point.name != "builtin", point.name)
