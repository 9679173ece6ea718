"""docs/tour.ipynb runs as it stands, from the first cell to the last."""

from pathlib import Path

import nbformat
import pytest
from notebooks import run_notebook, text

TOUR = Path(__file__).parents[2] / "docs" / "tour.ipynb"


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Its cells, run in a folder of their own."""
    return run_notebook(TOUR, tmp_path_factory.mktemp("tour"))


def test_the_notebook_is_kept_without_what_it_prints():
    cells = nbformat.read(TOUR, as_version=4).cells
    assert len(cells) == 10
    assert [cell.id for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []


def test_the_tour_ends_where_it_says(cells):
    code = [cell for cell in cells if cell.cell_type == "code"]
    condensed, picture, scored, swapped, plugin, own, runs, page = code
    assert "torch.Size([10, 1, 8, 8])" in text(condensed)
    assert any("image/png" in out.get("data", {}) for out in picture.outputs)
    means = eval(text(scored), {})
    assert means["condensed"] > means["random"] > 0.2
    assert 0.3 < float(text(swapped)) < 1
    assert "class MyLoss(MatchingLoss)" in text(plugin)
    assert 0.2 < float(text(own)) < 1
    assert "wrote report.html" in text(runs)
    assert 'src="report.html"' in page.outputs[0]["data"]["text/html"]


def test_nothing_in_it_fails_without_a_word(cells):
    """A command of a shell that fails does not end a notebook."""
    said = "".join(text(cell) for cell in cells)
    assert "Error" not in said
    assert "Traceback" not in said
