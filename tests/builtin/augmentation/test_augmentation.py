"""DSA and the dc protocol's jitter: against plain restatements of their formulas, and Siamese."""

import math

import pytest
import torch

from dcc_core import DccError
from dcc_plugins.augmentation import Jitter, NoAugmentation
from dcc_plugins.dsa import DSA
from dcc_plugins.idc import IDC
from dcc_plugins.warping import _coordinates, sample

SHAPE = (3, 8, 8)
OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")


def images(n, seed=0, shape=SHAPE):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((n, *shape), generator=generator, dtype=torch.float64)


def drawn(augmentation, n=6, seed=1, shape=SHAPE, **kind):
    return augmentation.draw(n, shape, torch.Generator().manual_seed(seed), **kind)


def apply(augmentation, x, params, index=None):
    index = torch.arange(len(x)) if index is None else index
    return augmentation.apply(x, torch.zeros(len(x), dtype=torch.int64), params, index)[0]


def sampled(x, row, column):
    """Bilinear value of channels x (C, H, W) at a fractional place; zero outside."""
    total = torch.zeros(x.shape[0], dtype=x.dtype)
    r0, c0 = math.floor(row), math.floor(column)
    for r, c in ((r0, c0), (r0, c0 + 1), (r0 + 1, c0), (r0 + 1, c0 + 1)):
        if 0 <= r < x.shape[1] and 0 <= c < x.shape[2]:
            total = total + x[:, r, c] * (1 - abs(row - r)) * (1 - abs(column - c))
    return total


def warped(x, place):
    """Each pixel taken from `place(row, column)`, coordinates relative to the image's centre."""
    out = torch.zeros_like(x)
    mid_r, mid_c = (x.shape[1] - 1) / 2, (x.shape[2] - 1) / 2
    for r in range(x.shape[1]):
        for c in range(x.shape[2]):
            row, column = place(r - mid_r, c - mid_c)
            out[:, r, c] = sampled(x, row + mid_r, column + mid_c)
    return out


def color(x, p):
    x = x + p["brightness"]
    mean = (x[0] + x[1] + x[2]) / 3
    x = (x - mean) * p["saturation"] + mean
    return (x - x.mean()) * p["contrast"] + x.mean()


def crop(x, p):
    dx, dy = (int(v) for v in p["shift"])
    out = torch.zeros_like(x)
    for r in range(x.shape[1]):
        for c in range(x.shape[2]):
            if 0 <= r - dy < x.shape[1] and 0 <= c - dx < x.shape[2]:
                out[:, r, c] = x[:, r - dy, c - dx]
    return out


def cutout(x, p):
    out = x.clone()
    top, left = (int(v) for v in p["cutout"])
    for r in range(top, top + x.shape[1] // 2):
        for c in range(left, left + x.shape[2] // 2):
            if 0 <= r < x.shape[1] and 0 <= c < x.shape[2]:
                out[:, r, c] = 0
    return out


def flip(x, p):
    return torch.stack([x[:, :, c] for c in reversed(range(x.shape[2]))], dim=2) if p["flip"] else x


def scale(x, p):
    sx, sy = p["scale"].tolist()
    return warped(x, lambda r, c: (r * sy, c * sx))


def rotate(x, p):
    angle = math.radians(p["rotate"].item())
    return warped(
        x,
        lambda r, c: (r * math.cos(angle) + c * math.sin(angle), c * math.cos(angle) - r * math.sin(angle)),
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_dsa_operations_equal_their_formulas(operation):
    dsa = DSA(strategy=(operation,))
    x, params = images(6), drawn(dsa)
    restated = globals()[operation]
    expected = torch.stack([restated(x[i], {k: v[i] for k, v in params.items()}) for i in range(6)])
    assert (expected - x).abs().max() > 0.1
    assert torch.allclose(apply(dsa, x, params), expected, atol=1e-10)


def test_dsa_draws_span_the_published_ranges():
    p = drawn(DSA(), n=4000, shape=(3, 32, 32))
    ranges = {
        "brightness": (-0.5, 0.5),
        "saturation": (0, 2),
        "contrast": (0.5, 1.5),
        "scale": (1 / 1.2, 1.2),
        "rotate": (-15, 15),
    }
    for name, (low, high) in ranges.items():
        width = high - low
        assert low <= p[name].min() < low + 0.02 * width, name
        assert high - 0.02 * width < p[name].max() <= high, name
    assert sorted(set(p["shift"].flatten().tolist())) == list(range(-4, 5))
    assert (p["cutout"].min(), p["cutout"].max()) == (-8, 24)  # a 16-pixel square, centred anywhere in 0..32
    assert 0.45 < p["flip"].double().mean() < 0.55
    counts = torch.bincount(p["operation"], minlength=6)
    assert counts.min() > 4000 / 6 * 0.85


def test_scale_is_independent_in_x_and_y():
    p = drawn(DSA(), n=1000)
    assert torch.corrcoef(p["scale"].T)[0, 1].abs() < 0.1


def test_a_training_batch_shares_its_dsa_operation_with_strengths_per_image():
    shared = drawn(DSA(), n=64, per_batch=True)
    assert len(set(shared["operation"].tolist())) == 1
    assert len(set(shared["rotate"].tolist())) == 64
    assert len(set(drawn(DSA(), n=64)["operation"].tolist())) == 6


def test_jitter_picks_an_operation_for_every_image():
    assert len(set(drawn(Jitter(), n=64, per_batch=True)["operation"].tolist())) == 3


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_draw_acts_identically_on_batches_of_8_and_3(operation, soft):
    """Siamese: two classes, each with one draw, in a batch of 8 and in one of 3."""
    dsa = DSA(strategy=(operation,))
    params = drawn(dsa, n=2)
    x = images(8)
    large, small = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0]), torch.tensor([0, 1, 1])
    labels = torch.rand(8, 5, dtype=torch.float64) if soft else torch.arange(8)
    out_large, labels_large = dsa.apply(x, labels, params, large)
    out_small, labels_small = dsa.apply(x[[0, 3, 4]], labels[[0, 3, 4]], params, small)
    assert torch.equal(out_large[[0, 3, 4]], out_small)
    assert torch.equal(labels_large, labels)
    assert torch.equal(labels_small, labels[[0, 3, 4]])


def test_mixed_operations_equal_each_on_its_own():
    dsa = DSA()
    x, params = images(40), drawn(dsa, n=40)
    assert len(params["operation"].unique()) == 6
    together = apply(dsa, x, params)
    alone = torch.cat([apply(dsa, x[i : i + 1], params, torch.tensor([i])) for i in range(40)])
    assert torch.allclose(together, alone, atol=1e-12)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_gradients_flow_through_every_operation(operation):
    dsa = DSA(strategy=(operation,))
    x, params = images(3, shape=(3, 5, 5)).requires_grad_(), drawn(dsa, n=3, shape=(3, 5, 5))
    assert torch.autograd.gradcheck(lambda v: apply(dsa, v, params), (x,))


def test_dsa_keeps_type_and_shape_of_grey_float32_images():
    dsa = DSA()
    x = images(30, shape=(1, 9, 7)).float()
    out = apply(dsa, x, drawn(dsa, n=30, shape=(1, 9, 7)))
    assert (out.shape, out.dtype) == (x.shape, torch.float32)
    assert torch.isfinite(out).all()


def test_flip_is_left_out_where_mirroring_changes_the_class(caplog):
    caplog.set_level("INFO", logger="dcc")
    digits = frozenset({"mirror-changes-class"})
    assert DSA().adapt(digits).strategy == ("color", "crop", "cutout", "scale", "rotate")
    assert "leaves out flip" in caplog.text
    assert DSA().adapt(frozenset()) == DSA()
    with pytest.raises(DccError, match="only 'flip'"):
        DSA(strategy=("flip",)).adapt(digits)


def test_an_empty_strategy_is_refused():
    for cls in (DSA, Jitter):
        with pytest.raises(ValueError, match="strategy is empty"):
            cls(strategy=())


def test_none_changes_nothing():
    x, y = images(4), torch.arange(4)
    out, labels = NoAugmentation().apply(x, y, drawn(NoAugmentation()), torch.arange(4))
    assert out is x
    assert labels is y


def around_mean(x, restated, p):
    mean = x.mean(dim=(0, 2, 3))[:, None, None]
    return torch.stack([restated(v - mean, {k: q[i] for k, q in p.items()}) + mean for i, v in enumerate(x)])


@pytest.mark.parametrize("operation", ["crop", "scale", "rotate"])
def test_jitter_fills_the_border_with_the_batch_mean(operation):
    jitter = Jitter(strategy=(operation,))
    x, params = images(5) + 3, drawn(jitter, n=5)
    restated = {**params, "scale": 1 / params["scale"]}
    expected = around_mean(x, globals()[operation], restated)
    assert (expected - x).abs().max() > 0.1
    assert torch.allclose(apply(jitter, x, params), expected, atol=1e-10)


def test_jitter_ranges_and_noise():
    jitter = Jitter(strategy=("noise",))
    p = drawn(jitter, n=2000)
    assert sorted(set(p["shift"].flatten().tolist())) == list(range(-4, 5))
    assert 0.8 <= p["scale"].min() < 0.81
    assert 1.19 < p["scale"].max() <= 1.2
    assert torch.equal(p["scale"][:, 0], p["scale"][:, 1])
    assert -45 <= p["rotate"].min() < -44
    assert p["noise"].std() == pytest.approx(0.001, rel=0.02)
    x = images(4)
    assert torch.equal(apply(jitter, x, p), x + p["noise"][:4])


def shares(n):
    """Hard labels of n images, a class each, as probabilities."""
    return torch.eye(n, dtype=torch.float64)


@pytest.mark.parametrize("operation", ["crop", "scale", "rotate"])
def test_idc_flips_colours_and_adds_one_operation(operation):
    idc = IDC(strategy=(operation,), cutmix=0)
    x, p = images(6), drawn(idc, per_batch=True)
    assert 0 < p["flip"].sum() < 6
    own = [{k: v[i] for k, v in p.items()} for i in range(6)]
    expected = torch.stack([globals()[operation](color(flip(x[i], q), q), q) for i, q in enumerate(own)])
    assert not idc.mixes_labels
    assert torch.allclose(apply(idc, x, p), expected, atol=1e-10)


def test_a_training_batch_shares_its_idc_operation_with_strengths_per_image():
    found = set()
    for seed in range(30):
        p = drawn(IDC(), n=16, seed=seed, per_batch=True)
        (operation,) = set(p["operation"].tolist())
        found.add(operation)
        assert len({tuple(p[k][i].flatten().tolist()) for i in range(16) for k in ["scale"]}) == 16
        assert len(set(p["rotate"].tolist())) == len(set(p["brightness"].tolist())) == 16
    assert found == {0, 1, 2}
    again = drawn(IDC(), n=16, seed=3, per_batch=True)
    assert all(torch.equal(v, drawn(IDC(), n=16, seed=3, per_batch=True)[k]) for k, v in again.items())


CUTMIX_ONLY = {"strategy": ("crop",), "crop": 0.0, "brightness": 0.0}
"""Leaves pictures of one value as they are, but for CutMix."""


def test_cutmix_shares_labels_as_it_shares_pixels():
    """Pictures of one value each: every pixel says where it comes from."""
    n, side, seen = 5, (8, 12), []
    x = torch.arange(n).double().view(n, 1, 1, 1).expand(n, 3, *side)
    for seed in range(200):
        idc = IDC(**CUTMIX_ONLY, cutmix=1)
        p = drawn(idc, n=n, seed=seed, shape=(3, *side), per_batch=True)
        out, labels = idc.apply(x, shares(n), p, torch.arange(n))
        for i in range(n):
            counted = torch.bincount(out[i].round().long().flatten(), minlength=n) / out[i].numel()
            assert torch.allclose(labels[i], counted.double(), atol=1e-12)
            assert set(torch.nonzero(counted).flatten().tolist()) <= {i, int(p["partner"][i])}
        assert sorted(p["partner"].tolist()) == list(range(n))
        boxes = ((out - x).abs() > 1e-9).any(dim=(0, 1)).nonzero()  # the same box for all: a full rectangle
        if len(boxes):
            (top, left), (bottom, right) = boxes.min(dim=0).values.tolist(), boxes.max(dim=0).values.tolist()
            assert p["box"][0].tolist() == [top, left, bottom + 1, right + 1]
            seen.append((bottom + 1 - top) * (right + 1 - left) / 96)
    assert len(seen) > 150
    assert min(seen) < 0.1 < 0.6 < max(seen)


def test_a_box_of_cutmix_has_its_area_unless_the_border_cuts_it():
    """Beta(β, β) with large β is a half: sides are those of half the area, less where the border is near."""
    boxes = torch.stack(
        [drawn(IDC(cutmix=1, beta=1e6), n=1, seed=s, shape=(3, 100, 200), per_batch=True)["box"][0] for s in range(300)]
    )
    top, left, bottom, right = boxes.T
    assert (bottom - top).max() == 2 * (int(100 * 0.5**0.5) // 2)
    assert (right - left).max() == 2 * (int(200 * 0.5**0.5) // 2)
    whole = (top > 0) & (bottom < 100)
    assert (bottom - top)[whole].unique().tolist() == [70]
    assert ((top == 0) | (bottom == 100))[bottom - top < 70].all()
    assert (top.min(), left.min(), bottom.max(), right.max()) == (0, 0, 100, 200)
    assert 30 < (bottom - top).min() < 40  # centred at the very border


def test_cutmix_acts_on_its_share_of_batches():
    mixed = [drawn(IDC(), n=4, seed=s, shape=(3, 32, 32), per_batch=True)["box"].any().item() for s in range(400)]
    assert 0.42 < sum(mixed) / 400 < 0.56
    never = IDC(cutmix=0)
    assert "box" not in drawn(never, per_batch=True)
    assert IDC().mixes_labels


def test_idc_refuses_what_it_cannot_mix(make_job):
    with pytest.raises(DccError, match=r"condense with aug\.cutmix=0, or with --aug dsa"):
        drawn(IDC())
    p = drawn(IDC(cutmix=1), n=6, per_batch=True)
    with pytest.raises(DccError, match="serve no other images"):
        IDC(cutmix=1).apply(images(3), shares(3), p, torch.arange(3))
    with pytest.raises(DccError, match=r"aug\.cutmix=0"):
        make_job({"aug": "idc"}).condense()
    make_job({"aug": "idc", "aug.cutmix": 0}).condense()
    with pytest.raises(ValueError, match="strategy is empty"):
        IDC(strategy=())


def test_idc_leaves_out_flips_where_mirroring_changes_the_class(caplog):
    caplog.set_level("INFO", logger="dcc")
    adapted = IDC().adapt(frozenset({"mirror-changes-class"}))
    assert adapted == IDC(flip=0.0)
    assert not drawn(adapted, n=100, per_batch=True)["flip"].any()
    assert "leaves out flip" in caplog.text
    assert IDC().adapt(frozenset()) == IDC()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_idc_keeps_type_and_gradients_of_grey_images(dtype):
    x = images(6, shape=(1, 9, 7)).to(dtype).requires_grad_()
    idc = IDC(cutmix=1)
    out, labels = idc.apply(x, shares(6).to(dtype), drawn(idc, shape=(1, 9, 7), per_batch=True), torch.arange(6))
    assert (out.shape, out.dtype, labels.dtype) == (x.shape, dtype, dtype)
    assert torch.allclose(labels.sum(dim=1), torch.ones(6, dtype=dtype))
    (gradient,) = torch.autograd.grad(out.square().sum(), x)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 9, 14)])
@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o != "cutout"])
def test_dsa_operations_equal_kornias(operation, shape):
    """Cutout has no counterpart there: it is cut at the border."""
    from kornia import enhance
    from kornia.geometry import transform

    def of_kornia(x, p):
        match operation:
            case "color":
                x = x + p["brightness"].view(-1, 1, 1, 1)
                for axes, factor in (((1,), p["saturation"]), ((1, 2, 3), p["contrast"])):
                    mean = x.mean(dim=axes, keepdim=True)
                    x = enhance.adjust_contrast(x - mean, factor, clip_output=False) + mean
                return x
            case "crop":
                return transform.translate(x, p["shift"], align_corners=False)
            case "flip":
                return torch.where(p["flip"].view(-1, 1, 1, 1), transform.hflip(x), x)
            case "scale":
                return transform.scale(x, 1 / p["scale"], align_corners=False)
            case "rotate":
                return transform.rotate(x, p["rotate"], align_corners=False)
        raise AssertionError(operation)

    dsa, x = DSA(strategy=(operation,)), images(6, shape=shape).requires_grad_()
    params = drawn(dsa, shape=shape)
    found, expected = apply(dsa, x, params), of_kornia(x, params)
    assert (found - x).abs().max() > 0.1
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)
    slope = torch.linspace(-1, 2, found.numel(), dtype=found.dtype).view(found.shape)
    derivatives = [torch.autograd.grad((y * slope).sum(), x)[0] for y in (found, expected)]
    assert torch.allclose(*derivatives, rtol=0, atol=1e-12)


def test_dsa_applies_to_each_image_the_operation_of_its_draw():
    """Images of all operations together are the same as one by one."""
    dsa, x = DSA(), images(40)
    params, index = drawn(dsa, n=20), torch.randint(20, (40,), generator=torch.Generator().manual_seed(3))
    assert len(set(params["operation"].tolist())) == 6
    together = apply(dsa, x, params, index)
    alone = torch.cat([apply(dsa, x[i : i + 1], params, index[i : i + 1]) for i in range(40)])
    assert torch.allclose(together, alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 5, 9)])
def test_sampling_by_gathering_equals_torchs(shape):
    """So a GPU's derivative can be deterministic. Places lie beyond the border too, and on pixels."""
    x = images(4, shape=shape).requires_grad_()
    places = torch.empty(4, 2, shape[1] * shape[2], dtype=torch.float64).uniform_(
        -1.5, 1.5, generator=torch.Generator().manual_seed(0)
    )
    places[0] = torch.stack(_coordinates(*shape[1:], x.device, x.dtype))
    grid = places.view(4, 2, *shape[1:]).permute(0, 2, 3, 1)
    found, expected = sample(x, places), torch.nn.functional.grid_sample(x, grid, align_corners=False)
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)
    slope = torch.linspace(-1, 2, found.numel(), dtype=found.dtype).view(found.shape)
    derivatives = [torch.autograd.grad((y * slope).sum(), x)[0] for y in (found, expected)]
    assert torch.allclose(*derivatives, rtol=0, atol=1e-12)
