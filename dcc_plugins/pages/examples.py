"""Some real pictures of a run, as they are and as the run sees them, where their files are still there."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dcc_core.config import Builder, Rank, Settings
from dcc_core.errors import DccError
from dcc_plugins.pages.record import RunRecord

SHOWN = 6
"""Classes of which a picture is shown."""


@dataclass(frozen=True)
class Pair:
    """A picture's images as data URLs; size: height×width of the second."""

    class_name: str
    upright: str
    seen: str
    size: str


def find_examples(run: RunRecord) -> list[Pair]:
    """Pictures of the run's data source, if it reads files that one can look at; none if they are gone."""
    settings = Settings()
    options = {key: entry.value for key, entry in run.report.config.items() if key.partition(".")[0] == "data"}
    settings.add(options, "the report", Rank.FLAG)
    try:
        builder = Builder(run.registry, settings)
        source = builder.component("data")
        builder.stop_on_problems()
        found = source.examples(SHOWN) if hasattr(source, "examples") else []
    except DccError:
        return []
    return [
        Pair(
            class_name=one.class_name,
            upright=_url(one.upright, "JPEG"),
            seen=_url(Image.fromarray(np.squeeze(one.pixels)), "PNG"),
            size="×".join(map(str, one.pixels.shape[:2])),
        )
        for one in found
    ]


def _url(image: Image.Image, kind: str) -> str:
    file = io.BytesIO()
    image.save(file, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
