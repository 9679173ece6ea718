"""Progress on a terminal and elsewhere."""

import io

from rich.console import Console

from dcc_plugins.terminal import Display


def display(terminal, quiet=False):
    d = Display(quiet=quiet)
    d.console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    return d


def test_a_bar_on_a_terminal():
    d = display(True)
    with d.track("condensing set 1/1", 40) as report:
        report(10, "outer 1/4 warm-up loss 3.5")
    shown = d.console.file.getvalue()
    for word in ("condensing set 1/1", "━", "10/40", "outer 1/4 warm-up loss 3.5", ":"):
        assert word in shown, word


def test_ten_plain_lines_elsewhere():
    d = display(False)
    with d.track("condensing", 1000) as report:
        for done in range(1, 1001):
            report(done, "x")
    lines = d.console.file.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == [f"{n}/1000" for n in range(100, 1001, 100)]


def test_a_bar_for_a_whole_run():
    d = display(True)
    with d.track_run() as report:
        report(0.25, "3 min left, condensing [set 1/2]")
    shown = d.console.file.getvalue()
    for word in ("━", "25%", "3 min left, condensing [set 1/2]"):
        assert word in shown, word


def test_a_plain_line_every_five_per_cent_of_a_run():
    d = display(False)
    with d.track_run() as report:
        for done in range(1, 1001):
            report(done / 1000, "x")
    lines = d.console.file.getvalue().splitlines()
    assert lines == [f"{n}%, x" for n in range(5, 101, 5)]


def test_nothing_when_quiet():
    d = display(True, quiet=True)
    with d.track("condensing", 2) as report:
        report(2, "x")
    with d.track_run() as report:
        report(1, "x")
    assert d.console.file.getvalue() == ""
