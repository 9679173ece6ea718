"""Times and sizes, read and written."""

import pytest

from dcc_core import DccError
from dcc_core.config.quantities import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1h 30m", 5400), ("1.5h", 5400), ("2d", 172800)]
)
def test_times_are_read(text, seconds):
    assert parse_duration(text, "run.budget") == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "10x", "10m?", "-5m", "ten minutes"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(DccError, match=r"run\.budget: .* is not a time such as 90s, 10m or 1h30m"):
        parse_duration(text, "run.budget")


@pytest.mark.parametrize(
    ("text", "count"),
    [("8G", 8 * 10**9), ("800M", 8 * 10**8), ("1.5 GB", 15 * 10**8), ("64k", 64000), ("2tb", 2 * 10**12)],
)
def test_sizes_are_read(text, count):
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "8", "G", "8X", "-8G", "8GBs", "8 G 5 M"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(DccError, match=r"run\.memory: '.*' is not a size such as 800M or 8G"):
        parse_size(text)


def test_times_and_sizes_in_words():
    assert [format_duration(s) for s in (0.25, 45, 720, 11100)] == ["0.2 s", "45 s", "12 min", "3 h 5 min"]
    assert [format_size(n) for n in (12, 20_000, 1_240_000_000)] == ["12 bytes", "20 kB", "1.2 GB"]
