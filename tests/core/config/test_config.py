"""Layers of configuration, references to components, and errors reported together."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Literal

import pytest
import toys

import dcc_plugins.manifest
from dcc_core import Component, MatchingLoss, Registry, Schedule, hookimpl
from dcc_core.config.options import schema
from dcc_core.config.run_options import RunOptions, ScoreOptions
from dcc_core.config.settings import Rank, Settings, as_toml
from dcc_core.errors import DccError, OptionError
from dcc_core.jobs.configuration import resolve
from dcc_core.plugins.registry import Origin
from dcc_plugins.losses import ClassWise, Collective, CollectiveBare


def problems(configure, **options):
    with pytest.raises(OptionError) as error:
        configure({k.replace("__", "."): v for k, v in options.items()})
    return list(error.value.problems)


def test_precedence_from_default_to_flag(registry, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("[run]\nimage_momentum = 0.3\nreal_batch = 33\nseed = 33\n")
    settings = Settings()
    settings.add({"data": "blobs", "recipe": "paper"}, "flag", Rank.FLAG)
    settings.add_file(file)
    settings.add({"run.seed": "55", "run.real_batch": "44"}, "--seed", Rank.FLAG)
    settings.add_options(["run.real_batch=55", "run.seed=44"])
    config = resolve(registry, settings)
    entries = {k: (s.value, s.origin) for k, s in config.entries.items()}
    assert entries["run.ipc"] == (1, "default")
    assert entries["arch.width"] == (4, "suggested by blobs")
    assert entries["run.outer_loops"] == (1000, "recipe paper")
    assert entries["run.image_momentum"] == (0.3, f"config {file}")
    assert entries["run.real_batch"] == (44, "--seed")
    assert entries["run.seed"] == (55, "--seed")
    assert entries["run.inner_loops"] == (10, "loss collective")
    assert entries["loss.reduction"] == ("sum", "recipe paper")
    assert config.run.seed == 55


def test_later_options_win(configure, registry):
    settings = Settings()
    settings.add_options(["data=blobs", "run.ipc=2", "run.ipc=3"])
    assert resolve(registry, settings).run.ipc == 3


def test_without_suggestions_the_papers_settings_are_the_defaults():
    defaults = {k: o.default for k, o in schema(RunOptions).items()} | {
        k: o.default for k, o in schema(ScoreOptions).items()
    }
    paper = {
        "outer_loops": 1000,
        "image_momentum": 0.5,
        "network_rate": 0.01,
        "real_batch": 256,
        "network_batch": 256,
        "norm_batch": 16,
        "sets": 5,
        "nets": 20,
    }
    assert {k: defaults[k] for k in paper} == paper
    assert defaults["image_rate"] is None
    assert {cls().image_rate(1, 1000) for cls in (ClassWise, Collective, CollectiveBare)} == {0.1}


@pytest.mark.parametrize("loss", ["class-wise", "collective", "collective-bare"])
def test_the_image_rate_falls_with_the_outer_loops_to_the_papers(configure, loss):
    def rate(loops, **more):
        return configure({"loss": loss, "run.outer_loops": loops, **more}).entries["run.image_rate"]

    assert [rate(n).value for n in (1, 10, 30, 50, 100, 300, 1000, 3000)] == [3, 3, 3, 2, 1, 0.33, 0.1, 0.1]
    assert [rate(n, **{"run.ipc": 10}).value for n in (10, 30, 100, 200)] == [0.95, 0.95, 0.95, 0.5]
    assert rate(30).origin == f"loss {loss}"
    assert rate(30, **{"loss.distance": "mse"}).value == 0.1
    for asked in ({"run.image_rate": 0.7}, {"recipe": "paper"}, {"recipe": "official"}):
        assert rate(30, **asked).origin != f"loss {loss}"
    assert configure({"recipe": "paper", "run.outer_loops": 30}).image_rate == 0.1


def test_a_budgets_outer_loops_decide_the_image_rate(configure):
    config = configure({"run.budget": "1h"}).within_budget(30)
    assert config.image_rate == config.table()["run.image_rate"] == configure({"run.outer_loops": 30}).image_rate
    fixed = configure({"run.budget": "1h", "run.image_rate": 0.2}).within_budget(30)
    assert fixed.image_rate == fixed.table()["run.image_rate"] == 0.2


def test_recipes_differ_in_the_reduction_alone(configure):
    paper, official = (configure({"recipe": name}).table() for name in ("paper", "official"))
    differing = {k: (paper[k], official[k]) for k in paper if paper[k] != official[k]}
    assert differing == {"loss.reduction": ("sum", "mean")}
    expected = {"run.outer_loops": 1000, "run.sets": 5, "loss.warmup_outer": None, "loss.warmup": "bi-level"}
    assert {k: paper[k] for k in expected} == expected


def test_options_of_a_recipes_loss_do_not_burden_another_loss(configure):
    config = configure({"recipe": "paper", "loss": "class-wise"})
    assert config.loss == ClassWise()


def test_a_component_is_an_option_of_another(configure):
    config = configure(
        {
            "loss": "warmup",
            "loss.first": "class-wise",
            "loss.then": "collective-bare",
            "loss.then.distance": "cosine",
            "loss.inner": "3",
        }
    )
    assert config.loss.first == ClassWise()
    assert config.loss.then == CollectiveBare(distance="cosine")
    assert config.loss.inner == 3
    assert config.entries["loss.then.distance"].origin == "test"
    assert config.entries["loss.then.reduction"].origin == "default"


def test_required_options_are_named(configure):
    assert problems(configure, loss="warmup") == [
        "loss.first: required; the loss of the warm-up",
        "loss.then: required; the loss after it",
    ]


def test_a_familys_argument_is_its_first_option(configure):
    config = configure({"data": "blobs-of:4,5"})
    assert config.data.counts == (4, 5)
    assert config.names["data"] == "blobs-of:4,5"


def test_numbers_of_a_file_serve_as_lists(registry, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[data]\nname = "folder:x"\nclasses = [0, "cat"]\nsize = 8\n')
    settings = Settings()
    settings.add_file(file)
    data = resolve(registry, settings).data
    assert data.classes == (0, "cat")
    assert data.size == (8,)


def test_all_problems_are_reported_at_once(configure):
    found = problems(
        configure, run__ipc=0, run__image_rate=-1, score__protocl="dc", loss__distance="cosin", aug="dsa", aug__flp=1
    )
    assert found == [
        "run.ipc: 0 is not an integer >= 1.",
        "run.image_rate: -1 is not a finite number > 0, or none.",
        "score.protocl: unknown option. Did you mean 'protocol'?",
    ]
    found = problems(configure, loss__distance="cosin", loss__distanse="mse", aug="dsa", aug__flp=1)
    assert found == [
        "loss.distance: 'cosin' is not one of layerwise, cosine, mse. Did you mean 'cosine'?",
        "loss.distanse: unknown option. Did you mean 'distance'?",
        "aug.flp: unknown option. Did you mean 'flip'?",
    ]


def test_unknown_sections_and_names_come_before_anything_is_imported(configure):
    found = problems(configure, los__distance="cosine", loss="colective", run__seed=-1)
    assert found[0].startswith("los.distance: unknown section 'los'. Did you mean 'loss'?")
    assert found[1].startswith("no loss named 'colective'. Did you mean 'collective'?\n  available:")
    assert found[2] == "run.seed: -1 is not an integer >= 0."


def test_a_value_where_a_table_stands(configure):
    assert problems(configure, run=3) == ["run: 3 is not a table of options; write run.NAME"]
    assert problems(configure, loss__distance__x="1") == [
        "loss.distance.x: unknown; loss.distance takes one of layerwise, cosine, mse"
    ]


def test_contradictions_within_a_component_are_option_errors(configure):
    assert problems(configure, aug="dsa", aug__strategy=[]) == [
        "aug: strategy is empty; for no augmentation write --aug none"
    ]


@pytest.mark.parametrize("pair", ["loss.distance", "=3", ""])
def test_options_need_a_key_and_a_value(pair):
    with pytest.raises(OptionError, match="expected KEY=VALUE"):
        Settings().add_options([pair])


def test_config_files_that_cannot_be_read(tmp_path):
    missing, wrong = tmp_path / "none.toml", tmp_path / "wrong.toml"
    wrong.write_text("[run\n")
    with pytest.raises(DccError, match=r"--config '.*none.toml' cannot be read"):
        Settings().add_file(missing)
    with pytest.raises(DccError, match=r"--config '.*wrong.toml' is not TOML"):
        Settings().add_file(wrong)


def test_the_resolved_configuration_resolves_to_itself(configure, registry, tmp_path):
    config = configure(
        {"aug": "dsa", "aug.strategy": "crop,flip", "loss": "warmup", "loss.first": "means", "loss.then": "collective"}
    )
    file = tmp_path / "config.toml"
    file.write_text(as_toml(config.entries))
    assert tomllib.loads(file.read_text())["loss"]["then"]["name"] == "collective"
    settings = Settings()
    settings.add_file(file)
    again = resolve(registry, settings)
    assert again.table() == config.table()
    assert isinstance(again.loss.then, Collective)


def test_the_protocol_follows_the_augmentation(configure):
    assert configure().score.protocol == "dc"
    assert configure({"aug": "builtin:none"}).score.protocol == "dc"
    assert configure({"aug": "dsa"}).score.protocol == "dsa"
    assert configure({"aug": "dsa", "score.protocol": "dc"}).score.protocol == "dc"


def test_the_schedule_follows_the_loss_unless_given(configure):
    assert configure({"run.ipc": 10}).schedule == Schedule(10, 50)
    assert configure({"loss": "means"}).schedule == Schedule(1, 0)
    given = configure({"run.inner_loops": 3, "run.network_steps": 0})
    assert given.schedule == Schedule(3, 0)
    assert given.entries["run.inner_loops"].origin == "test"


def test_none_is_kept_by_a_configuration_file(configure, registry, tmp_path):
    """A suggestion must not come back where the user said none."""
    config = configure({"arch.depth": "none"})
    assert config.arch.depth is None
    file = tmp_path / "config.toml"
    file.write_text(as_toml(config.entries))
    settings = Settings()
    settings.add_file(file)
    assert resolve(registry, settings).arch.depth is None


def test_versions_are_those_of_the_components_used(configure):
    assert configure({"data": "digits"}).versions == {"dcc": "0.1"}
    assert configure({"loss": "means"}).versions == {"dcc": "0.1", "dcc-toys": "1.0"}


@pytest.mark.parametrize("key", ["run.inner_loops", "run.network_steps", "lss.x"])
def test_a_data_source_may_not_suggest_what_the_loss_decides(configure, monkeypatch, key):
    monkeypatch.setattr(toys.Blobs, "suggestions", lambda self: {key: 3})
    title = r"data 'blobs' of plugin toys \(dcc-toys 1.0\)"
    with pytest.raises(DccError, match=rf"{title} breaks a rule of its kind: .*; it suggests '{key}'"):
        configure()


def test_a_suggestion_out_of_range_is_its_sources_fault(configure, monkeypatch):
    """And not one that the user's own value stands above."""
    monkeypatch.setattr(toys.Blobs, "suggestions", lambda self: {"run.sets": 0})
    title = "data 'blobs' of plugin toys (dcc-toys 1.0)"
    assert problems(configure) == [f"run.sets: 0 is not an integer >= 1. ({title} suggests it)"]
    assert configure({"run.sets": 2}).run.sets == 2


def test_a_recipe_takes_no_options(configure):
    assert problems(configure, recipe="paper", recipe__foo=1)[0].startswith("recipe.foo: unknown section 'recipe'")


def test_simple_warm_up_goes_with_a_recipe(make_job):
    make_job({"recipe": "paper", "loss.warmup": "simple"}).start()


@dataclass(frozen=True, kw_only=True)
class Odd(MatchingLoss):
    """A loss whose constructor refuses, with an option type that no text can give."""

    level: Annotated[Literal[2, 3], "a level"] = 2
    hook: Annotated[Callable | None, "a function"] = None

    def __post_init__(self):
        if self.level == 3:
            raise TypeError("level 3 is closed")

    def terms(self, step, state):
        yield from ()


def test_odd_components_are_reported_as_options(registry):
    plugin = SimpleNamespace(
        dcc_losses=hookimpl(
            lambda: [Component(name="odd", target="test_config:Odd", summary="odd")], specname="dcc_losses"
        )
    )
    odd = Registry([dcc_plugins.manifest, toys, plugin], [Origin("builtin"), Origin("toys"), Origin("odd")])

    def configured(**options):
        settings = Settings()
        settings.add({"data": "blobs", "loss": "odd"} | {f"loss.{k}": v for k, v in options.items()}, "-o", Rank.OPTION)
        return resolve(odd, settings).loss

    assert configured(level="2").level == 2
    with pytest.raises(OptionError, match="loss: level 3 is closed"):
        configured(level="3")
    with pytest.raises(OptionError, match=r"loss.level: '4' is not one of 2, 3\."):
        configured(level="4")
    with pytest.raises(OptionError, match=r"loss\.hook: 'f' is not "):
        configured(hook="f")
