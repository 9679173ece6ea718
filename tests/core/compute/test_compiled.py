"""Networks that are compiled between image updates and in scoring give what they give as they are, to rounding."""

import dataclasses
import io
import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch
from torch._dynamo.exc import BackendCompilerFailed

from dcc_core.cli.flags import add_flags
from dcc_core.compute.compiler import MIN_PASSES, CompiledNetwork, Compiler
from dcc_core.config.settings import Settings
from dcc_core.testing import job_of, toys
from dcc_plugins.commands.run import RUN_FLAGS, run

CPU, CARD = torch.device("cpu"), torch.device("cuda")
TINY = {"arch": "mlp", "run.outer_loops": 2, "run.inner_loops": 2, "run.network_steps": 2}


def both_ways():
    """Plain and compiled: images after two networks of two updates each, weights of scoring networks, what was said."""
    said, found = io.StringIO(), []
    logging.getLogger("dcc").addHandler(logging.StreamHandler(said))
    for wanted in ("off", "on"):
        job = job_of({**TINY, "data": "blobs", "run.precision": "float64", "run.compile": wanted}, toys)
        s = job.condense()
        scorer = job.scorer(s)
        scorer = dataclasses.replace(scorer, protocol=dataclasses.replace(scorer.protocol, epochs=3, decays=(1,)))
        networks, _ = scorer._train_together(job.decode(s), [scorer.random.at("net", net) for net in (0, 1)])
        weights = torch.cat([p.detach().flatten() for network in networks for p in network.parameters()])
        found.append((s.stored["images"].cpu().numpy(), weights.cpu().numpy()))
    return found, said.getvalue()


def test_training_between_updates_and_stacks_are_the_same_to_rounding():
    """In a process of its own, in float64: where a compiler's threads have been, no later test could fork."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        (plain, compiled), said = pool.submit(both_ways).result()
    if "the compiler failed" in said:
        pytest.skip(said)
    for one, other in zip(plain, compiled, strict=True):
        assert abs(one - other).max() < 1e-10


def test_compiled_networks_train_in_training_mode(make_job, monkeypatch):
    """With BatchNorm, whose statistics matching freezes in between."""
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)
    options = {"arch": "convnet", "arch.norm": "batch", "arch.width": 4, "run.outer_loops": 1, "run.inner_loops": 3}
    found = [make_job({**options, "run.compile": wanted}).condense().stored["images"] for wanted in ("off", "on")]
    assert torch.equal(*found)


def test_a_compiler_that_fails_is_told_once_and_done_without(make_job, monkeypatch, caplog):
    calls = []

    def broken(network, **_):
        def passes(images):
            calls.append(images)
            raise BackendCompilerFailed(network, RuntimeError("no g++ here"), None)

        return passes

    monkeypatch.setattr(torch, "compile", broken)
    results = []
    with caplog.at_level(logging.WARNING, logger="dcc"):
        for wanted in ("off", "on"):
            results.append(make_job({**TINY, "run.compile": wanted}).condense().stored["images"])
    assert torch.equal(*results)
    assert len(calls) == 1
    assert [r.message for r in caplog.records if "run.compile: the compiler failed" in r.message] == [
        caplog.records[0].message
    ]
    assert "no g++ here" in caplog.text


def test_other_errors_stay_errors(monkeypatch):
    def passes(images):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(torch, "compile", lambda network, **_: passes)
    with pytest.raises(RuntimeError, match="out of memory"):
        Compiler("on")(torch.nn.Linear(2, 2), CPU, 1)(torch.ones(1, 2))


@pytest.mark.parametrize(
    ("wanted", "device", "passes", "compiled"),
    [
        ("auto", CPU, 10 * MIN_PASSES, False),
        ("auto", CARD, MIN_PASSES - 1, False),
        ("auto", CARD, MIN_PASSES, True),
        ("on", CPU, 1, True),
        ("off", CARD, 10 * MIN_PASSES, False),
    ],
)
def test_where_it_compiles(wanted, device, passes, compiled):
    network = torch.nn.Linear(2, 2)
    found = Compiler(wanted)(network, device, passes)
    assert isinstance(found, CompiledNetwork) if compiled else found is network
    assert [id(p) for p in found.parameters()] == [id(p) for p in network.parameters()]


def test_it_says_once_what_is_compiled(monkeypatch, caplog):
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)
    with caplog.at_level(logging.INFO, logger="dcc"):
        compiler = Compiler("on")
        for _ in range(2):
            compiler(torch.nn.Linear(2, 2), CARD, 1)
    assert [r.message for r in caplog.records] == [
        "run.compile: passes of networks that are differentiated once are compiled"
    ]


@pytest.mark.parametrize(("words", "said"), [("--compile", "on"), ("--no-compile", "off"), ("", "auto")])
def test_the_flag_stands_above_other_options(words, said):
    given = run.make_context("run", words.split()).params
    settings = add_flags(Settings(), RUN_FLAGS, given, None, ("run.compile=auto",))
    assert settings.values["run.compile"].value == said


def test_worker_processes_do_not_compile():
    def ask(sender):
        sender.send(isinstance(Compiler("on")(torch.nn.Linear(2, 2), CPU, 1), CompiledNetwork))

    receiver, sender = multiprocessing.Pipe(duplex=False)
    worker = multiprocessing.get_context("fork").Process(target=ask, args=(sender,), daemon=True)
    worker.start()
    assert receiver.recv() is False
    worker.join()
