"""The report of runs as one self-contained HTML page: no network, other files or third-party scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dcc_core.config import format_duration, format_size
from dcc_core.scoring import COMPOSITES
from dcc_plugins.pages import curves
from dcc_plugins.pages.examples import find_examples
from dcc_plugins.pages.record import RunRecord
from dcc_plugins.pages.sprites import Sprites, draw_sprites
from dcc_plugins.terminal import NONE, SPREADS, percent

MAX_IMAGE_BYTES = 16_000_000
"""Largest size of all images on a page, in bytes."""
MIN_SIDE = 96
"""Smallest longer side of an image on the screen, in pixels; smaller images are enlarged by integer factors."""
PHONE = 360
"""Pixels that a narrow screen leaves for images; a wider strip scrolls there."""
COLORS = 6
"""Number of run colours; they repeat after that."""
SCORES = ("network", "set", "mean", *SPREADS.values(), "networks", "protocol")


@dataclass(frozen=True)
class Strip:
    """One class's images in one run; `url` is empty if the run lacks the class."""

    run: str
    index: int
    color: int
    url: str = ""
    alt: str = ""
    shown: int = 0
    pixels: int = 0
    height: int = 0

    @property
    def scrolls(self) -> bool:
        """Whether it is wider than a narrow screen."""
        return self.pixels > PHONE


@dataclass(frozen=True)
class ClassRow:
    """A class in all runs; height: approximate, in pixels."""

    name: str
    strips: tuple[Strip, ...]
    height: int


@dataclass(frozen=True)
class Curve:
    """A drawing and its description in words."""

    title: str
    words: str
    svg: Markup


def render_page(runs: Sequence[RunRecord], *, live: bool = False) -> bytes:
    """The page of one run, or of several side by side. live: the page polls its server for updates.

    Raises DccError if the images of a run cannot be read.
    """
    loader = PackageLoader("dcc_plugins.pages", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    script = environment.get_template("page.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    names = _names(runs)
    drawn = [draw_sprites(run.pictures, MAX_IMAGE_BYTES // len(runs)) if run.pictures else None for run in runs]
    options = _option_rows(runs)
    text = environment.get_template("page.html").render(
        live=live,
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        runs=[_run_header(run, name, i) for i, (run, name) in enumerate(zip(runs, names, strict=True))],
        moments=json.dumps([_moments(run, own) for run, own in zip(runs, drawn, strict=True)]),
        classes=list(_classes(runs, names, drawn)),
        image_notes=list(_image_notes(runs, names, drawn)),
        examples=find_examples(runs[0]) if len(runs) == 1 and not live else [],
        curves=list(_curves(runs, names)),
        curve_notes=list(_curve_notes(runs)),
        scores=list(_score_rows(runs, names)),
        score_columns=SCORES,
        options=options,
        cost=list(_cost(runs)),
    )
    return text.encode("utf-8", errors="replace")


def _moments(run: RunRecord, own: Sprites | None) -> dict[str, Any]:
    return {"steps": own.steps if own else (), "total": run.total}


def _names(runs: Sequence[RunRecord]) -> list[str]:
    """Names of the run folders; paths for those with the same name."""
    names = [run.path.resolve().name for run in runs]
    return [name if names.count(name) == 1 else str(run.path) for run, name in zip(runs, names, strict=True)]


def _run_header(run: RunRecord, name: str, index: int) -> dict[str, Any]:
    facts = [("method", run.report.method)]
    for title, key in (("data", "data"), ("network", "arch"), ("images per class", "run.ipc"), ("sets", "run.sets")):
        if (value := run.value(key)) is not None:
            facts.append((title, format_value(value)))
    if any(phases := Counter(row.phase for row in run.steps)):
        facts.append(("image updates", ", ".join(f"{n} {phase or 'after it'}" for phase, n in phases.items())))
    progress = "" if run.finished or not run.total else f"{run.done} of {run.total} image updates of the first set"
    about = {"ended": run.finished, "color": index % COLORS}
    return about | {"name": name, "state": run.state, "progress": progress, "facts": facts}


def _classes(runs: Sequence[RunRecord], names: Sequence[str], drawn: Sequence[Sprites | None]) -> Iterator[ClassRow]:
    """Every class of any run, in order of first appearance."""
    places = [{name: k for k, name in enumerate(run.class_names)} for run in runs]
    if any(len(place) < len(run.class_names) for place, run in zip(places, runs, strict=True)):
        places = [{f"{name} ({k})": k for k, name in enumerate(run.class_names)} for run in runs]  # a name occurs twice
    for name in dict.fromkeys(c for place in places for c in place):
        strips = []
        for index, (own, place) in enumerate(zip(drawn, places, strict=True)):
            strip = Strip(names[index], index, index % COLORS)
            if own and name in place:
                strip = _strip(strip, own, place[name], runs[index], name)
            strips.append(strip)
        label = 24 if len(runs) > 1 else 0
        heights = [s.height + label for s in strips]
        yield ClassRow(name, tuple(strips), 40 + sum(heights))


def _strip(strip: Strip, own: Sprites, k: int, run: RunRecord, name: str) -> Strip:
    factor = math.ceil(MIN_SIDE / max(own.width, own.height))
    shown, count = own.shown[k], own.counts[k]
    number = f"{shown} of {count} images" if shown < count else f"{shown} image{'s' if shown > 1 else ''}"
    return replace(
        strip,
        url=own.urls[k],
        alt=f"{name[:80]}: {number}, {run.report.method}",
        shown=shown,
        pixels=shown * own.width * factor,
        height=own.height * factor,
    )


def _image_notes(runs: Sequence[RunRecord], names: Sequence[str], drawn: Sequence[Sprites | None]) -> Iterator[str]:
    """Notes on which sets, images and moments are shown."""
    for run, name, own in zip(runs, names, drawn, strict=True):
        if own is None:
            continue
        notes = []
        if (sets := run.number("run.sets")) > 1:
            notes.append(f"the first of {sets} sets")
        if own.shown != own.counts:
            notes.append(f"{max(own.shown)} images of each class, of up to {max(own.counts)}")
        if own.words != "lossless":
            notes.append(f"as {own.words}")
        if len(own.steps) < len(run.pictures):
            notes.append(f"{len(own.steps)} of {len(run.pictures)} moments, so that the page stays small")
        if notes:
            yield f"{name}: {', '.join(notes)}." if len(runs) > 1 else f"Shown: {', '.join(notes)}."


def _curves(runs: Sequence[RunRecord], names: Sequence[str]) -> Iterator[Curve]:
    if svg := curves.draw_loss_curve(runs):
        yield Curve("Loss", " ".join(_loss_words(runs, names)), Markup(svg))
    if svg := curves.draw_accuracy_curve(runs):
        yield Curve("Accuracy during the run", " ".join(_accuracy_words(runs, names)), Markup(svg))
    if svg := curves.draw_score_chart(runs):
        grey = any(run.summary(network, "random") for run in runs for network in run.networks)
        beside = "; the grey mark is random real images" if grey else ""
        words = f"Mean accuracy by network with its 95 % interval{beside}. The table of scores has the numbers."
        yield Curve("Accuracy by network", words, Markup(svg))


def _curve_notes(runs: Sequence[RunRecord]) -> Iterator[str]:
    if any(run.steps for run in runs) and not any(run.curve for run in runs):
        yield "For a curve of the accuracy, run with -o score.curve=3: three networks at each moment."


def _loss_words(runs: Sequence[RunRecord], names: Sequence[str]) -> Iterator[str]:
    for run, name in zip(runs, names, strict=True):
        if run.steps:
            own = f"{name}: " if len(runs) > 1 else ""
            begin, end = run.steps[0].loss, run.steps[-1].loss
            yield f"{own}{begin:.4g} in the first image update, {end:.4g} in the last of {run.done}."
    phases = {row.phase for run in runs for row in run.steps}
    if curves.WARM_UP in phases and len(phases) > 1:
        yield "Warm-up steps use another loss: they are dashed, and the outer loops with warm-up are shaded."


def _accuracy_words(runs: Sequence[RunRecord], names: Sequence[str]) -> Iterator[str]:
    for run, name in zip(runs, names, strict=True):
        if run.curve:
            own = f"{name}: " if len(runs) > 1 else ""
            first, last = run.curve[0], run.curve[-1]
            nets = f"{len(last.accuracies)} network{'s' if len(last.accuracies) > 1 else ''}"
            yield (
                f"{own}{percent(first.mean)} % after {first.step} image updates, {percent(last.mean)} % after "
                f"{last.step}: {nets} of {last.architecture}, protocol {last.protocol}, lowest to highest."
            )
    if any(run.curve and row.phase == curves.WARM_UP for run in runs for row in run.steps):
        yield "Warm-up is shaded."


def _score_rows(runs: Sequence[RunRecord], names: Sequence[str]) -> Iterator[list[str]]:
    """Rows for each network: each run's sets, and random images."""
    for network in dict.fromkeys(n for run in runs for n in run.networks):
        for run, name in zip(runs, names, strict=True):
            own = f"{name} ({run.report.method})" if len(runs) > 1 else run.report.method
            random = f"random real images ({name})" if len(runs) > 1 else "random real images"
            titles = {"condensed": own, "random": random}
            titles |= {key: f"{own}, {c.title}, × 100" for key, c in COMPOSITES.items()}
            for key, title in titles.items():
                if row := run.summary(network, key):
                    spreads = [percent(getattr(row, spread)) for spread in SPREADS]
                    about = [format_value(row.networks), row.protocol or key]
                    yield [network, title, percent(row.mean), *spreads, *about]


def _option_rows(runs: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """One row per option of any run; differing ones first, then those not at their default."""
    rows = []
    for key in dict.fromkeys(key for run in runs for key in run.report.config):
        entries = [run.report.config.get(key) for run in runs]
        cells = [{"value": format_value(e.value) if e else NONE, "origin": e.origin if e else ""} for e in entries]
        differs = len({cell["value"] for cell in cells}) > 1
        default = not differs and all(cell["origin"] == "default" for cell in cells)
        rows.append({"key": key, "cells": cells, "differs": differs, "default": default})
    return sorted(rows, key=lambda row: (not row["differs"], row["default"]))


def _cost(runs: Sequence[RunRecord]) -> Iterator[tuple[str, list[str]]]:
    reports = [run.report for run in runs]
    for phase in dict.fromkeys(phase for r in reports for phase in r.seconds):
        yield phase, [format_duration(r.seconds[phase]) if phase in r.seconds else NONE for r in reports]
    yield "total", [format_duration(sum(r.seconds.values())) if r.seconds else NONE for r in reports]
    yield "images seen by scoring networks", [_format_images_seen(run) for run in runs]
    yield "peak memory", [format_size(r.peak_memory_bytes) if r.peak_memory_bytes else NONE for r in reports]
    yield "device", [f"{r.device or NONE}, {r.threads} thread{'s' if r.threads != 1 else ''}" for r in reports]
    yield "versions", [", ".join(f"{name} {version}" for name, version in r.versions.items()) for r in reports]


def _format_images_seen(run: RunRecord) -> str:
    subjects = ("condensed", "random", *COMPOSITES)
    found = (run.summary(network, subject) for network in run.networks for subject in subjects)
    seen = sum(summary.images_seen for summary in found if summary)
    return f"{seen:,}" if seen else NONE


def format_value(value: Any) -> str:
    """An option's value as text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(format_value, value)) or "none"
    return str(value)
