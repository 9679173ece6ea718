"""Multi-formation: decoding, packing, gradients, files, other losses."""

import pytest
import torch
from torch.nn import functional as F

from dcc_core import DccError, load_set
from dcc_core.testing import ParametrisationConformance, job_of, toys
from dcc_plugins.multi_formation import MultiFormation


class TestMultiFormation(ParametrisationConformance):
    """Nine images to a stored one, and two of those to a class."""

    component, options, settings = "multi-formation", {"factor": 3}, {"data.per_class": 18}


def make_job(options=None):
    """A run with the parametrisation on toy data in float64 unless asked otherwise."""
    preset = {"data": "blobs-of:20,20,20", "param": "multi-formation", "run.precision": "float64"}
    return job_of({**preset, **(options or {})}, toys)


def noise(n, h, w, channels=2, seed=0):
    return torch.randn(n, channels, h, w, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_crop(image, factor, grey):
    """The crops of one image (C, H, W), one by one: filled up, cut out, enlarged."""
    _, h, w = image.shape
    filled = [F.pad(c, (0, -w % factor, 0, -h % factor), value=g) for c, g in zip(image, grey.tolist(), strict=True)]
    filled = torch.stack(filled)
    height, width = filled.shape[1] // factor, filled.shape[2] // factor
    for i in range(factor):
        for j in range(factor):
            crop = filled[:, i * height : (i + 1) * height, j * width : (j + 1) * width]
            yield F.interpolate(crop.unsqueeze(0), size=(h, w), mode="bilinear", align_corners=False)[0]


@pytest.mark.parametrize(
    ("factor", "height", "width"), [(2, 8, 8), (2, 7, 9), (3, 8, 8), (3, 7, 6), (4, 10, 8), (5, 5, 5)]
)
def test_decoding_is_cropping_and_enlarging(factor, height, width):
    images, grey = noise(3, height, width), torch.tensor([0.3, -0.7], dtype=torch.float64)
    stored = {"images": images, "labels": torch.tensor([4, 0, 2]), "shared_grey": grey.view(1, 2, 1, 1)}
    decoded, labels = MultiFormation(factor=factor).decode(stored)
    expected = torch.stack([crop for image in images for crop in by_crop(image, factor, grey)])
    assert torch.allclose(decoded, expected, rtol=0, atol=1e-14)
    assert labels.tolist() == [k for k in (4, 0, 2) for _ in range(factor**2)]


@pytest.mark.parametrize(("factor", "side"), [(2, 8), (3, 7), (4, 10)])
def test_every_stored_number_is_seen(factor, side):
    """Every pixel has a share in its own crop, and in no other."""
    images = noise(1, side, side, channels=1).requires_grad_()
    stored = {"images": images, "labels": torch.zeros(1).long(), "shared_grey": torch.zeros(1, 1, 1, 1).double()}
    decoded, _ = MultiFormation(factor=factor).decode(stored)
    shares = torch.stack([torch.autograd.grad(d.sum(), images, retain_graph=True)[0][0, 0] for d in decoded])
    assert ((shares > 0).sum(dim=0) == 1).all()
    crop = -(-side // factor)
    place = torch.arange(side) // crop
    assert torch.equal(shares.argmax(dim=0), factor * place.unsqueeze(1) + place)


@pytest.mark.parametrize(("factor", "side"), [(2, 8), (2, 9), (3, 8), (4, 10)])
def test_what_is_packed_is_decoded(factor, side):
    """Each decoded image is its original, shrunk to what its crop has room for, and enlarged; grey below and right."""
    job = make_job({"param.factor": factor, "data.size": side})
    run = job.context()
    together = factor**2
    images = noise(2 * together, side, side).to(run.device)
    stored = job.config.param.init(images, torch.tensor([0, 1]).repeat_interleave(together), run)
    assert stored["labels"].tolist() == [0, 1]
    grey = run.real.normalisation.to_unit(stored["shared_grey"])
    assert torch.allclose(grey, torch.full_like(grey, 0.5))
    assert stored["images"].shape == (2, 2, side, side)
    assert [name for name, t in stored.items() if t.requires_grad] == ["images"]
    decoded, _ = job.config.param.decode(stored)
    crop = -(-side // factor)
    for place, (image, found) in enumerate(zip(images, decoded, strict=True)):
        h, w = (min(crop, side - crop * (place % together // k % factor)) for k in (factor, 1))
        small = F.interpolate(image.unsqueeze(0), size=(h, w), mode="bilinear", antialias=True)
        small = torch.cat([small, stored["shared_grey"].expand(1, 2, crop - h, w)], dim=2)
        small = torch.cat([small, stored["shared_grey"].expand(1, 2, crop, crop - w)], dim=3)
        assert torch.allclose(found, F.interpolate(small, size=(side, side), mode="bilinear")[0], atol=1e-12), place


def test_smooth_images_survive_packing():
    ramp = torch.linspace(-1, 1, 16, dtype=torch.float64)
    images = (
        torch.stack([a * ramp.unsqueeze(1) + b * ramp for a in (1, -1) for b in (1, -1)])
        .unsqueeze(1)
        .repeat(1, 2, 1, 1)
    )
    job = make_job({"data.size": 16})
    images = images.to(job.device)
    decoded, _ = job.config.param.decode(job.config.param.init(images, torch.zeros(4).long(), job.context()))
    assert torch.allclose(decoded[:, :, 2:-2, 2:-2], images[:, :, 2:-2, 2:-2], atol=0.07)


def test_ipc_counts_stored_images():
    """As many real images as will be decoded are packed, all different and of the right class."""
    job = make_job({"run.ipc": 2})
    synthetic = job.start().synthetic
    assert synthetic.stored["images"].shape == (6, 2, 8, 8)
    batch = synthetic.batch(2, 0)
    assert batch.images.shape == (16, 2, 8, 8)
    assert batch.labels.tolist() == synthetic.owners_of([2, 0]).tolist() == [2] * 8 + [0] * 8
    assert len(batch.images.detach().flatten(1).unique(dim=0)) == 16
    with pytest.raises(DccError, match="6 images per class, but class 'blob 0' of data 'blobs' has 20; give at most 5"):
        make_job({"run.ipc": 6})


@pytest.mark.parametrize("factor", [1, 0, -2])
def test_less_than_two_crops_are_refused(factor):
    with pytest.raises(DccError, match=r"param\.factor"):
        make_job({"param.factor": factor})


@pytest.mark.parametrize(("factor", "side"), [(4, 5), (4, 3), (5, 8)])
def test_images_too_small_for_the_crops_are_refused(factor, side):
    param = MultiFormation(factor=factor)
    with pytest.raises(DccError, match=rf"param\.factor: {factor} crops of . pixels do not fit into {side}, "):
        param.init(noise(factor**2, side, 24), torch.zeros(factor**2).long(), make_job().context())


def test_a_set_file_is_read_as_it_was_written(tmp_path):
    """Odd sides, so that the grey is needed; in other hands too, which have another parametrisation configured."""
    path = tmp_path / "multi.safetensors"
    job = make_job({"data.size": 9, "run.outer_loops": 1, "run.inner_loops": 2, "run.network_steps": 1})
    start = job.start()
    s = job.condense(start=start)
    s.save(path)
    read = load_set(path)
    assert read.images.shape == (3, 2, 9, 9)
    last = start.synthetic.batch(0, 1, 2)
    for other in (job, make_job({"data.size": 9, "param": "identity"})):
        found = other.decode(read)
        assert torch.allclose(found.images, last.images.detach(), atol=1e-12)
        assert torch.equal(found.labels, last.labels)
    assert 0 <= job.scorer(read).score(job.decode(read), 1).mean <= 1
    again = make_job({"data.size": 9, "run.init": str(path)}).start().synthetic
    assert torch.allclose(again.stored["images"], start.synthetic.stored["images"], atol=1e-12)


def test_soft_labels_of_a_set_are_averaged():
    job = make_job()
    labels = torch.rand(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(job.device)
    stored = job.config.param.init(noise(8, 8, 8).to(job.device), labels, job.context())
    assert torch.allclose(stored["labels"], torch.stack([labels[:4].mean(dim=0), labels[4:].mean(dim=0)]))


@pytest.mark.parametrize("options", [{"loss": "collective", "aug": "dsa"}, {"loss": "class-wise"}], ids=str)
def test_it_stacks_with_losses_and_augmentations(options):
    """On digits: every stored number moves."""
    small = {"run.outer_loops": 3, "run.inner_loops": 2, "run.network_steps": 1, "run.real_batch": 16}
    job = make_job({**options, **small, "arch.width": 8, "run.precision": "float32", "data": "digits"})
    start = job.start()
    before = start.synthetic.stored["images"].clone()
    job.condense(start=start)
    moved = (start.synthetic.stored["images"] - before).abs()
    assert torch.isfinite(moved).all()
    assert moved.amax(dim=1).count_nonzero() > 0.99 * moved[:, 0].numel()
