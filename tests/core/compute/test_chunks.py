"""How many images go through a network at once, and what happens when memory runs out."""

import logging
import subprocess
import sys

import pytest
import torch
from torch import nn

from dcc_core import Batch, DccError, Randomness
from dcc_core.compute.chunks import CACHE_BYTES, SECOND_ORDER, WEIGHTS, Chunks, Footprint
from dcc_core.compute.criterion import cross_entropy
from dcc_core.compute.memory import process_peak
from dcc_core.engine.image_update import update
from dcc_core.engine.network_training import train_epoch
from dcc_core.engine.step import Step
from dcc_plugins.augmentation import NoAugmentation
from dcc_plugins.networks.convnet import ConvNet

CPU = torch.device("cpu")


def convnet(width, norm="instance", side=32):
    generator = torch.Generator().manual_seed(0)
    return ConvNet(width=width, norm=norm).build(channels=3, classes=10, size=(side, side), generator=generator)


@pytest.mark.parametrize(("width", "side", "images"), [(32, 32, 128), (128, 32, 32), (512, 128, 1)])
def test_the_largest_maps_of_a_pass_fit_into_the_cache(width, side, images):
    """The first block's maps are the largest: width × side × side numbers of four bytes."""
    footprint = Footprint.of(convnet(width, side=side), torch.zeros(2, 3, side, side))
    assert footprint.largest == width * side * side * 4
    chunks = Chunks(footprint, CPU)
    assert chunks.images == images == max(1, CACHE_BYTES // footprint.largest)
    assert chunks.second_order == max(1, images // SECOND_ORDER)
    assert Chunks(footprint, CPU, given=2).second_order == min(2, chunks.second_order)
    assert [len(x) for (x,) in chunks.split(torch.zeros(2 * images), second_order=True)] == (
        [chunks.second_order] * (2 * images // chunks.second_order)
    )


def test_a_footprint_counts_what_is_kept_once():
    """Of two linear layers and a ReLU: both layers' inputs; the ReLU's output is the second one's input."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
    footprint = Footprint.of(network, torch.zeros(4, 3, 2, 2))
    assert footprint == Footprint(largest=12 * 4, total=(12 + 8) * 4, weights=(12 * 8 + 8 + 8 * 3 + 3) * 4)


def test_a_limit_of_memory_is_divided_among_images():
    footprint = Footprint(largest=CACHE_BYTES // 100, total=1000, weights=10)
    left = WEIGHTS * 10 + 7 * SECOND_ORDER * 1000
    assert Chunks(footprint, CPU).images == 100
    assert Chunks(footprint, CPU, memory=left).images == 7
    assert Chunks(footprint, CPU, memory=left - 1).images == 6
    assert Chunks(footprint, CPU, memory=10**9).images == 100
    assert Chunks(footprint, CPU, memory=left, spare=2 * SECOND_ORDER * 1000).images == 5
    assert Chunks(footprint, CPU, memory=left, spare=10**9).images == 1
    assert Chunks(footprint, CPU, given=3, memory=left).images == 3
    assert Chunks(footprint, CPU, given=9, memory=left).images == 7
    with pytest.raises(DccError, match=r"run\.memory: 80 bytes are left .* takes 4\.1 kB\. Give at least 4\.0 kB more"):
        Chunks(footprint, CPU, memory=80)


class Hungry(nn.Module):
    """Runs out of memory where it sees more than `most` images."""

    def __init__(self, network, most):
        super().__init__()
        self.network, self.maximum, self.seen = network, most, []

    def forward(self, images):
        self.seen.append(len(images))
        if len(images) > self.maximum:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return self.network(images)


def test_a_step_goes_on_in_smaller_chunks(make_job, caplog):
    """The same images as with enough memory."""
    results = []
    for most in (1000, 5):
        job = make_job({"loss": "collective-bare", "run.real_batch": 8})
        run, synthetic, state = job.start()
        network = Hungry(job.build(run.random.generator("network")), most)
        step = Step(run, synthetic, outer=0, inner=0, network=lambda network=network: network)
        with caplog.at_level(logging.WARNING):
            update(step, job.config.loss, state)
        results.append((synthetic.stored["images"], max(network.seen), run.chunks.images))
    (whole, seen, _), (parted, _, images) = results
    assert seen > 5 >= images
    assert f"out of memory: going on with {images} image(s) at a time; -o run.micro_batch={images}" in caplog.text
    assert torch.allclose(whole, parted, atol=1e-12)


def test_one_image_that_is_too_much_is_an_error():
    chunks = Chunks(Footprint(largest=1, total=1, weights=1), CPU, given=4)
    network = Hungry(nn.Flatten(), 0)
    with pytest.raises(DccError, match="out of memory with one image at a time: CUDA out of memory"):
        chunks.within_memory(lambda: [network(x) for (x,) in chunks.split(torch.zeros(8, 3))])
    assert network.seen == [4, 2, 1]


def test_other_errors_are_not_taken_for_it():
    chunks = Chunks(Footprint(largest=1, total=1, weights=1), CPU, given=4)
    with pytest.raises(RuntimeError, match="shapes"):
        chunks.within_memory(lambda: torch.zeros(2, 3) @ torch.zeros(2, 3))
    assert chunks.images == 4


@pytest.mark.parametrize(("norm", "seen"), [("instance", [4, 4, 2]), ("batch", [10])])
def test_training_sees_a_batch_in_chunks_where_it_may(norm, seen):
    """The weights after an epoch are those of whole batches; BatchNorm needs whole batches."""
    generator = torch.Generator().manual_seed(1)
    data = Batch(torch.randn(10, 3, 8, 8, generator=generator, dtype=torch.float64), torch.arange(10))
    trained = []
    for images in (1000, 4):
        network = Hungry(convnet(4, norm, side=8).double(), 1000)
        train_epoch(
            network,
            data,
            torch.optim.SGD(network.parameters(), lr=0.1),
            batch_size=256,
            chunks=Chunks(Footprint(largest=1, total=1, weights=1), CPU, given=images),
            num_classes=10,
            criterion=cross_entropy,
            augmentation=NoAugmentation(),
            random=Randomness(0),
        )
        trained.append([p.detach() for p in network.parameters()])
    assert network.seen == seen
    for whole, parted in zip(*trained, strict=True):
        assert torch.allclose(whole, parted, atol=1e-12)


@pytest.mark.skipif(sys.platform != "linux", reason="peaks of other systems cannot be forgotten")
def test_a_peak_is_the_process_s_own():
    """Not that of the process that started it, which `getrusage` would count."""
    there = torch.ones(75_000_000)  # 300 MB
    code = "from dcc_core.compute.memory import process_peak; print(process_peak())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < process_peak() - there.nbytes / 2
