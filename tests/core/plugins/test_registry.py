"""The registry: broken plugins are named and left out; names are never shadowed silently."""

import sys
import warnings
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from dcc_core import Component, DccError, MatchingLoss, Registry, hookimpl
from dcc_core.errors import PluginWarning
from dcc_core.plugins import hookspecs as hookspecs
from dcc_core.plugins.registry import Origin, find_kind
from dcc_plugins.commands.plugins import _names


def row(name="mine", target="toys:DistributionMatching", **more):
    return Component(name=name, target=target, summary="a loss", **more)


def plugin(*rows, hook="dcc_losses"):
    """A plugin with one collecting hook."""

    def implementation():
        return list(rows)

    implementation.__name__ = hook
    return SimpleNamespace(**{hook: hookimpl(implementation)})


def registry_of(**plugins):
    return Registry(plugins.values(), [Origin(name, f"dcc-{name}", "1.2") for name in plugins])


def names(registry, kind="loss"):
    return [p.component.name for p in registry.components(kind)]


def test_components_come_in_the_order_of_their_plugins():
    registry = registry_of(a=plugin(row("one"), row("two")), b=plugin(row("three")))
    assert names(registry) == ["one", "two", "three"]
    assert registry.find("loss", "three").provided.origin.version == "1.2"


def test_kinds_answer_to_their_name_and_key():
    assert find_kind("aug") is find_kind("augmentation")
    with pytest.raises(DccError, match=r"no kind of component named 'los'. Did you mean 'loss'"):
        find_kind("los")


def test_a_plugin_that_fails_is_named_and_left_out():
    def raises():
        raise RuntimeError("no luck")

    raises.__name__ = "dcc_losses"
    registry = registry_of(bad=SimpleNamespace(dcc_losses=hookimpl(raises)), good=plugin(row("fine")))
    with pytest.warns(PluginWarning, match=r"plugin bad \(dcc-bad 1.2\) not loaded: dcc_losses: RuntimeError: no luck"):
        assert names(registry) == ["fine"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert names(registry) == ["fine"]
    with pytest.raises(
        DccError, match=r"no loss named 'swd'.*\n.*fine.*\n  not loaded: bad \(dcc-bad 1.2\): .*no luck"
    ):
        registry.find("loss", "swd")


def test_a_row_that_is_no_component_leaves_its_plugin_out():
    registry = registry_of(bad=plugin("collective"), good=plugin(row("fine")))
    with pytest.warns(PluginWarning, match=r"bad .*expected dcc_core.Component, got str"):
        assert names(registry) == ["fine"]


def test_a_misspelt_hook_is_named_with_a_suggestion():
    with pytest.warns(PluginWarning, match=r"plugin typo .*unknown hook 'dcc_lossess'. Did you mean 'dcc_losses'\?"):
        registry = registry_of(typo=plugin(row(), hook="dcc_lossess"), good=plugin(row("fine")))
    assert names(registry) == ["fine"]
    assert [b.origin.provider for b in registry.broken] == ["typo"]


def test_a_hook_with_an_unknown_argument_is_named():
    def dcc_losses(surprise):
        return []

    with pytest.warns(PluginWarning, match=r"plugin odd .*surprise"):
        registry = registry_of(odd=SimpleNamespace(dcc_losses=hookimpl(dcc_losses)), good=plugin(row("fine")))
    assert names(registry) == ["fine"]


def test_a_taken_name_is_an_error_only_where_it_is_asked_for():
    registry = registry_of(a=plugin(row("same"), row("own")), b=plugin(row("same", "toys:TrajectoryMatching")))
    with pytest.warns(PluginWarning, match=r"plugin b .* claims the loss 'same', which a .* has too") as caught:
        assert names(registry) == ["same", "own", "same"]
    assert len(caught) == 1
    assert registry.find("loss", "own").load().__name__ == "DistributionMatching"
    with pytest.raises(DccError, match="loss 'same' is claimed by 2 plugins: write 'a:same' or 'b:same'"):
        registry.find("loss", "same")
    assert registry.find("loss", "b:same").load().__name__ == "TrajectoryMatching"
    assert list(registry.conflicts()) == [("loss", "same")]


def test_families_take_what_follows_their_prefix():
    registry = registry_of(a=plugin(row("folder:PATH", family=True), row("net/<model>", family=True), row("plain")))
    assert registry.find("loss", "folder:a:b/c").argument == "a:b/c"
    assert registry.find("loss", "net/x.y").argument == "x.y"
    assert registry.find("loss", "a:net/x.y").argument == "x.y"
    assert registry.find("loss", "plain").argument is None
    for unknown in ("folder:", "plain:x", "folder"):
        with pytest.raises(DccError, match=f"no loss named '{unknown}'"):
            registry.find("loss", unknown)


def members():
    return ["resnet50", "vit"]


def imported():
    raise AssertionError("members were imported for a name that is close to a plain one")


def test_a_familys_members_help_where_a_name_is_unknown():
    family = row("net/<model>", family=True, members="test_registry:members")
    registry = registry_of(a=plugin(row("resnet18"), family))
    for name, hint in {"resnet50": "net/resnet50", "resnet81": "resnet18", "vot": "resnet18"}.items():
        with pytest.raises(DccError) as caught:
            registry.find("loss", name)
        assert (f"Did you mean '{hint}'?" in str(caught.value)) == (name != "vot")
    assert [m for r in registry.components("loss") for m in r.members()] == ["net/resnet50", "net/vit"]


def test_members_are_imported_only_where_no_plain_name_is_very_close():
    registry = registry_of(a=plugin(row("plain"), row("net/<model>", family=True, members="test_registry:imported")))
    with pytest.raises(DccError, match=r"no loss named 'plainn'\. Did you mean 'plain'\?"):
        registry.find("loss", "plainn")


def test_members_that_do_not_load_are_fatal_only_where_they_are_listed():
    registry = registry_of(a=plugin(row("net/<model>", family=True, members="no_such_module:names")))
    with pytest.raises(DccError, match=r"no loss named .resnet50."):
        registry.find("loss", "resnet50")
    (provided,) = registry.components("loss")
    with pytest.raises(DccError, match=r"'net/<model>' of plugin a .* does not load from 'no_such_module:names'"):
        provided.members()
    with pytest.warns(PluginWarning, match="no_such_module:names"):
        assert list(_names(provided, "net/*")) == ["net/<model>"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module:X", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("toys:NoSuchClass", "AttributeError"),
        ("toys:LinearModule", "TypeError: .* is not a dataclass of kind loss"),
        ("toys:Mixup", "TypeError: .* is not a dataclass of kind loss"),
        ("test_registry:Named", "TypeError: an option may not be called 'name'"),
    ],
)
def test_a_target_that_does_not_load_names_its_plugin(target, reason):
    registry = registry_of(acme=plugin(row("swd", target)))
    with pytest.raises(DccError, match=rf"loss 'swd' of plugin acme \(dcc-acme 1.2\) does not load .*{reason}"):
        registry.find("loss", "swd").load()


@dataclass(frozen=True, kw_only=True)
class Named(MatchingLoss):
    name: str = "x"

    def terms(self, step, state):
        yield from ()


def test_recipes_that_cannot_be_read_name_their_plugin():
    registry = registry_of(acme=plugin(row("gone", "dcc_plugins.recipes:gone.toml"), hook="dcc_recipes"))
    with pytest.raises(DccError, match=r"recipe 'gone' of plugin acme \(dcc-acme 1.2\) does not load"):
        registry.find("recipe", "gone").read()


def entry_point(name, load):
    return SimpleNamespace(name=name, load=load, dist=SimpleNamespace(name=f"dcc-{name}", version="0.2"))


def test_installed_plugins_that_do_not_import_are_named(monkeypatch):
    def fails():
        raise ModuleNotFoundError("No module named 'ot'")

    points = [entry_point("swd", fails), entry_point("exits", lambda: sys.exit(3)), entry_point("ok", plugin)]
    points[2].load = lambda: plugin(row("fine"))
    monkeypatch.setattr("dcc_core.plugins.registry.metadata.entry_points", lambda group: points)
    with pytest.warns(PluginWarning) as caught:
        registry = Registry.installed()
    assert [str(w.message) for w in caught] == [
        "plugin exits (dcc-exits 0.2) not loaded: SystemExit: 3",
        "plugin swd (dcc-swd 0.2) not loaded: ModuleNotFoundError: No module named 'ot'",
    ]
    assert names(registry) == ["fine"]
    assert registry.versions() == {"dcc-ok": "0.2"}


def test_a_plugin_for_another_version_of_the_interface_is_left_out():
    old, new = plugin(row("old")), plugin(row("new"))
    old.DCC_API, new.DCC_API = hookspecs.API + 1, hookspecs.API
    reason = "it is built for API 2 of dcc, and this dcc has API 1"
    with pytest.warns(PluginWarning, match=rf"plugin a \(dcc-a 1.2\) not loaded: {reason}") as caught:
        registry = registry_of(a=old, b=new, c=plugin(row("silent")))
        assert names(registry) == ["new", "silent"]
    assert len(caught) == 1
    assert registry.find("loss", "new").provided.title == "loss 'new' of plugin b (dcc-b 1.2)"
    with pytest.raises(DccError, match=rf"no loss named 'old'.*\n.*\n  not loaded: a \(dcc-a 1.2\): {reason}"):
        registry.find("loss", "old")


def test_two_plugins_of_one_name_are_not_confused():
    with pytest.warns(PluginWarning, match="another plugin is called 'a' already"):
        registry = Registry([plugin(row("one")), plugin(row("two"))], [Origin("a"), Origin("a")])
    assert names(registry) == ["one"]


def test_observers_are_told_and_a_failing_one_is_dropped():
    told = []

    class Bad:
        @hookimpl
        def dcc_step_finished(self, report):
            told.append("bad")
            raise ValueError("disk gone")

    class Good:
        @hookimpl
        def dcc_step_finished(self, report):
            told.append(report)

        @hookimpl
        def dcc_run_started(self):
            told.append("started")

    registry = registry_of(bad=Bad(), good=Good())
    with pytest.warns(PluginWarning, match=r"observer bad .* failed in dcc_step_finished .*ValueError: disk gone"):
        registry.notify("dcc_step_finished", report=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.notify("dcc_step_finished", report=2)
        registry.notify("dcc_run_started", run=None)
    assert told == ["bad", 1, 2, "started"]


def test_the_built_in_components(registry):
    found = {k: names(registry, k) for k in ("loss", "augmentation", "architecture", "recipe")}
    assert found["loss"][:4] == ["class-wise", "collective", "collective-bare", "warmup"]
    assert found["augmentation"][:3] == ["none", "dsa", "jitter"]
    assert found["recipe"] == ["paper", "official", "fast", "rded"]
    for provided in registry.components():
        if not provided.kind.files:
            name = provided.component.name.replace("COUNTS", "3")
            assert registry.find(provided.kind.name, name).load().__doc__
