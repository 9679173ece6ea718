"""The card of a condensed set on the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from dcc_core.sets import CondensedSet
from dcc_plugins.hub_access import SET_FILE, Place

OPTIONS = ("loss", "aug", "param", "arch", "selection", "run.ipc", "run.outer_loops", "run.inner_loops", "run.seed")
SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K"}
"""The Hub's words for numbers of images below these."""


def make_card(s: CondensedSet, report: Mapping[str, Any], repo: str, licence: str | None, images: int) -> str:
    """The card, README.md: metadata of the Hub, images, how to load them, method, scores, licence of the source.

    report: of the run, for the scores of random images; may be empty. images: in the set, decoded.
    """
    from huggingface_hub import DatasetCard, DatasetCardData

    p = s.provenance
    data = DatasetCardData(
        pretty_name=repo.partition("/")[2],
        license=licence,
        task_categories=["image-classification"],
        tags=["dataset-distillation", "dataset-condensation", "dcc"],
        size_categories=next((words for most, words in SIZES.items() if images < most), "100K<n<1M"),
        source_datasets=_source(p.config.get("data", "")),
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}],
    )
    template = resources.files("dcc_plugins.commands").joinpath("templates", "hub_card.md.tmpl")
    return DatasetCard.from_template(
        data,
        template_str=template.read_text(encoding="utf-8"),
        title=data.pretty_name,
        repo=repo,
        images=images,
        classes=len(s.class_names),
        data=_plain(p.data),
        method=_plain(p.method),
        names=", ".join(f"`{_plain(name)}`" for name in s.class_names),
        options=[(key, _plain(p.config[key])) for key in OPTIONS if key in p.config],
        scores=list(_rows(p.scores, p.set, report)),
        licence=licence,
        set_file=SET_FILE,
    ).content


def _source(data: str) -> list[str] | None:
    """The data set of the Hub that the images come from, if they do."""
    if not data.startswith("hf:") or "/" not in data:
        return None
    return [Place.parse(data.removeprefix("hf:")).repo]


def _rows(scores: Sequence[Mapping[str, Any]], index: int, report: Mapping[str, Any]) -> list[list[str]]:
    """The table of scores. A composite score (0..1) has a row of its own."""
    random = report.get("scores", {}).get("random", [])
    rows = []
    for score in scores:
        name, protocol = _plain(score["architecture"]), f"{score['protocol']} {score['version']}"
        own = [other for other in random if other["architecture"] == score["architecture"]]
        baseline = _percent(own[min(index, len(own) - 1)]) if own else "–"
        rows.append([name, protocol, str(len(score["accuracies"])), _percent(score), baseline])
        if found := score.get("robustness"):
            rows.append([name, f"{found['protocol']} {found['version']}", "–", f"{100 * found['score']:.1f}", "–"])
    return rows


def _percent(score: Mapping[str, Any]) -> str:
    return f"{100 * score['mean']:.1f} ± {100 * score['std']:.1f}"


def _plain(value: object) -> str:
    """A value as text that Markdown shows as it is: names of classes may be anybody's."""
    return " ".join(str(value).split()).translate(str.maketrans("`|<>[]", "'/()()"))
