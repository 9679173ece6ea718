"""Images on the terminal, or in one line why not."""

import io

import pytest
import torch
from rich.console import Console

from dcc_core.runs.snapshots import Pictures
from dcc_core.testing import ObserverConformance
from dcc_plugins.terminal.preview import HALF, MOST_CLASSES, SIDE, show_preview


def pictures(images, names=("zero", "one")):
    owners = torch.arange(len(names)).repeat_interleave(len(images) // len(names))
    return Pictures(0, names, images, owners, (len(images) // len(names),) * len(names))


def shown(what, encoding="utf-8", **how):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    how = {"force_terminal": True, "color_system": "truecolor", "width": 60, "legacy_windows": False} | how
    show_preview(what, Console(file=file, **how))
    file.flush()
    return raw.getvalue().decode(encoding)


def test_two_pixels_stand_in_a_letter():
    image = torch.tensor([[[255, 0], [10, 20]], [[0, 255], [30, 40]], [[0, 0], [50, 60]]], dtype=torch.uint8)
    text = shown(pictures(image[None].repeat(2, 1, 1, 1)))
    assert text.count(HALF) == 2 * 2
    assert "\x1b[38;2;255;0;0;48;2;10;30;50m▀" in text
    assert "\x1b[38;2;0;255;0;48;2;20;40;60m▀" in text
    assert "zero" in text
    assert "one" in text


def test_an_odd_number_of_rows_ends_in_the_terminals_own_colour():
    text = shown(pictures(torch.full((2, 1, 3, 1), 7, dtype=torch.uint8)))
    assert text.count("\x1b[38;2;7;7;7m▀") == 2


def test_large_images_and_many_classes_are_cut_down():
    names = tuple(f"c{k}" for k in range(MOST_CLASSES + 5))
    text = shown(pictures(torch.zeros((len(names) * 9, 3, 64, 64), dtype=torch.uint8), names), width=60)
    assert text.count(HALF) == MOST_CLASSES * 3 * SIDE * SIDE // 2  # of nine images, the three that fit
    assert "and 5 classes more" in text
    assert max(len(line) for line in _plain(text).splitlines()) <= 60


def test_names_cannot_command_the_terminal():
    text = shown(pictures(torch.zeros((2, 1, 8, 8), dtype=torch.uint8), ("\x1b]0;x\x07", "[bold]b[/]")))
    assert "\x1b]0" not in text
    assert "[bold]b" in _plain(text)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"force_terminal": False}, "the output is no terminal"),
        ({"color_system": None}, "the terminal shows no colours"),
        ({"encoding": "ascii"}, "the terminal's encoding, ascii, has no half-blocks"),
    ],
)
def test_a_terminal_that_cannot_says_so_in_one_line(how, why):
    assert shown(pictures(torch.zeros((2, 1, 8, 8), dtype=torch.uint8)), **how) == f"no preview: {why}\n"


def _plain(text):
    return "".join(part.partition("m")[2] if i else part for i, part in enumerate(text.split("\x1b[")))


def test_pixels_are_means_of_squares():
    from dcc_plugins.terminal.preview import shrink_images

    images = torch.arange(2 * 5 * 4, dtype=torch.uint8).reshape(2, 1, 5, 4)
    assert shrink_images(images, 3).shape == (2, 1, 2, 2)
    assert shrink_images(images, 3)[0, 0].tolist() == [[2, 4], [10, 12]]
    assert shrink_images(images, 5) is images


class TestPreview(ObserverConformance):
    component = "preview"
