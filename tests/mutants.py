"""Components that break one rule each, and of every kind one that breaks none (`Good` and so on)."""

import itertools
from dataclasses import dataclass, replace

import torch
from torch import nn

from dcc_core import (
    Architecture,
    Augmentation,
    DataSource,
    DccError,
    ImageSet,
    MatchingLoss,
    Observer,
    Parametrisation,
    Part,
    RealData,
    Selection,
    State,
    Total,
    hookimpl,
    seeded,
)
from dcc_plugins.exchange.formats import Format
from dcc_plugins.exchange.safe_loading import read_tensor
from dcc_plugins.studies import Findings, Study

mutant = dataclass(frozen=True, kw_only=True)
CALLS = itertools.count(1)
"""What depends on it differs from call to call."""


# Losses


@mutant
class Good(MatchingLoss):
    """Match the class means of features."""

    def terms(self, step, state):
        for label in step.classes:
            yield Part(self.distance(step, label))

    def distance(self, step, label):
        with torch.no_grad():
            target = step.embed(step.real(label).images).mean(dim=0)
        return (step.embed(step.synthetic.batch(label).images).mean(dim=0) - target).square().sum()


@mutant
class Vector(Good):
    def terms(self, step, state):
        if step.classes:
            yield Part(torch.stack([self.distance(step, label) for label in step.classes]))


@mutant
class Nothing(Good):
    def terms(self, step, state):
        if step.outer == 0:
            yield from super().terms(step, state)


@mutant
class NotFinite(Good):
    def terms(self, step, state):
        for term in super().terms(step, state):
            yield Part(term.value + float("nan"))


@mutant
class Shared(Good):
    def terms(self, step, state):
        for label in step.classes:
            whole = self.distance(step, label).square()
            yield Part(whole.sin())
            yield Part(whole)


@mutant
class OneClass(Good):
    def terms(self, step, state):
        if 1 in step.classes:
            yield Part(self.distance(step, 1))


@mutant
class Detached(Good):
    def terms(self, step, state):
        for label in step.classes:
            distance = self.distance(step, label)
            yield Part(distance * distance.detach())


class Count(State):
    def __init__(self):
        self.number = next(CALLS)


@mutant
class Unseeded(Good):
    def setup(self, run, synthetic):
        return Count()

    def terms(self, step, state):
        for term in super().terms(step, state):
            yield Part(term.value * state.number)


class Seen(State):
    """What it knows is not in its state_dict."""

    def __init__(self):
        self.before = False


class Held(State):
    """Tensors that are not in its state_dict."""

    def __init__(self):
        self.means = {}


@mutant
class Greedy(Good):
    """Looks at the real images of the first pass alone."""

    def distance(self, step, label):
        (first,) = next(iter(step.run.chunks.split(step.real(label).images)))
        with torch.no_grad():
            target = step.embed(first).mean(dim=0)
        return (step.embed(step.synthetic.batch(label).images).mean(dim=0) - target).square().sum()


@mutant
class Averaging(Good):
    """Of equal values an average is that value: two looks at one step would not tell."""

    def setup(self, run, synthetic):
        return Held()

    def terms(self, step, state):
        for label in step.classes:
            mean = step.real(label).images.mean(dim=0)
            before = state.means.setdefault((label, step.outer), state.means.get((label, 0), mean))
            images = step.synthetic.batch(label).images
            yield Part((images - 0.5 * before - 0.5 * mean).square().mean())


@mutant
class Unsummed(Good):
    def terms(self, step, state):
        if step.classes:
            yield Total(sum(self.distance(step, label) for label in step.classes))


@mutant
class Lopsided(Good):
    def terms(self, step, state):
        weight = torch.rand((), generator=step.generator("weight", len(step.classes)), dtype=torch.float64)
        for label in step.classes:
            yield Part(weight * self.distance(step, label))


@mutant
class Forgetful(Good):
    def setup(self, run, synthetic):
        return Seen()

    def terms(self, step, state):
        factor, state.before = 2 if state.before else 1, True
        for term in super().terms(step, state):
            yield Part(term.value * factor)


@mutant
class Scales(Good):
    """Moves the bias of the head after use, on which features do not depend."""

    def terms(self, step, state):
        yield from super().terms(step, state)
        with torch.no_grad():
            list(step.network.parameters())[-1].add_(1)


@mutant
class Trains(Good):
    def terms(self, step, state):
        yield from super().terms(step, state)
        step.network.train()
        step.network.eval()
        for p in step.network.parameters():
            p.grad = torch.zeros_like(p)


@mutant
class Writes(Good):
    def terms(self, step, state):
        yield from super().terms(step, state)
        step.run.data.test.images[0] += 1


@mutant
class Global(Good):
    def terms(self, step, state):
        torch.rand(1)
        yield from super().terms(step, state)


# Augmentations


@mutant
class Mild(Augmentation):
    """Brightness, a number per draw."""

    def draw(self, n, shape, generator, *, per_batch=False):
        return {"shift": torch.rand(n, generator=generator, dtype=torch.float64)}

    def apply(self, images, labels, params, index):
        return images + params["shift"][index].to(images).view(-1, 1, 1, 1), labels


@mutant
class Still(Mild):
    def apply(self, images, labels, params, index):
        changed, labels = super().apply(images, labels, params, index)
        return changed.detach(), labels


@mutant
class BatchMean(Mild):
    def apply(self, images, labels, params, index):
        changed, labels = super().apply(images, labels, params, index)
        return changed + images.mean(), labels


@mutant
class Narrow(Mild):
    def apply(self, images, labels, params, index):
        changed, labels = super().apply(images, labels, params, index)
        return changed[..., 1:], labels


@mutant
class Single(Mild):
    """Always double precision."""

    def apply(self, images, labels, params, index):
        changed, labels = super().apply(images, labels, params, index)
        return changed.double(), labels


@mutant
class Infinite(Mild):
    """Divides by an image's spread, which is none where it has one colour."""

    def apply(self, images, labels, params, index):
        spread = images.std(dim=(1, 2, 3), keepdim=True)
        return super().apply(images / spread, labels, params, index)


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.square()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


@mutant
class Cut(Mild):
    """A gradient that is not that of what it does."""

    def apply(self, images, labels, params, index):
        return super().apply(StraightThrough.apply(images), labels, params, index)


@mutant
class Unaddressed(Mild):
    def draw(self, n, shape, generator, *, per_batch=False):
        return {"shift": torch.full((n,), float(next(CALLS)))}


@mutant
class InPlace(Mild):
    """Moves what it was given by next to nothing."""

    def apply(self, images, labels, params, index):
        changed = super().apply(images, labels, params, index)
        if not images.requires_grad:
            images.detach().add_(1e-12)
        return changed


@mutant
class Rolls(Mild):
    def apply(self, images, labels, params, index):
        torch.rand(1)
        return super().apply(images, labels, params, index)


@mutant
class OneRow(Mild):
    def draw(self, n, shape, generator, *, per_batch=False):
        return {**super().draw(n, shape, generator, per_batch=per_batch), "order": torch.arange(2)}


# Architectures


class SmallModule(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.body = nn.Linear(inputs, 5)
        self.head = nn.Linear(5, classes)

    def embed(self, images):
        return torch.tanh(self.body(images.flatten(1)))

    def forward(self, images):
        return self.head(self.embed(images))


class MapModule(SmallModule):
    def embed(self, images):
        return super().embed(images).unsqueeze(2)

    def forward(self, images):
        return self.head(self.embed(images).squeeze(2))


class BatchModule(SmallModule):
    def forward(self, images):
        features = self.embed(images)
        return self.head(features - features.mean(dim=0))


class OnceOnly(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient * 2


class HiddenModule(SmallModule):
    def forward(self, images):
        return OnceOnly.apply(super().forward(images))


@mutant
class Small(Architecture):
    module = SmallModule

    def build(self, *, channels, classes, size, generator):
        with seeded(generator):
            return self.module(channels * size[0] * size[1], classes)


@mutant
class WideLogits(Small):
    def build(self, *, channels, classes, size, generator):
        return super().build(channels=channels, classes=classes + 1, size=size, generator=generator)


@mutant
class MapFeatures(Small):
    module = MapModule


@mutant
class Batchwise(Small):
    module = BatchModule


@mutant
class Hidden(Small):
    module = HiddenModule


@mutant
class Fixed(Small):
    """The same weights whatever the generator."""

    def build(self, *, channels, classes, size, generator):
        own = torch.Generator().manual_seed(5)
        return super().build(channels=channels, classes=classes, size=size, generator=own)


@mutant
class Ambient(Small):
    def build(self, *, channels, classes, size, generator):
        torch.rand(1)
        return super().build(channels=channels, classes=classes, size=size, generator=generator)


# Data sources


@mutant
class Tiny(DataSource):
    """Two classes of three images, in one file."""

    def load(self, *, root, download, progress):
        file = root / "tiny.bin"
        if not file.exists():
            raise DccError(f"data 'tiny': put tiny.bin into '{root}'")
        images = torch.frombuffer(bytearray(file.read_bytes()), dtype=torch.uint8).view(6, 1, 4, 4)
        part = ImageSet(images, torch.tensor([0, 1] * 3))
        return RealData(name="tiny", train=part, test=part, class_names=("a", "b"))


@mutant
class Floats(Tiny):
    def load(self, *, root, download, progress):
        data = super().load(root=root, download=download, progress=progress)
        return replace(data, train=ImageSet(data.train.images / 255, data.train.labels))


@mutant
class Nameless(Tiny):
    def load(self, *, root, download, progress):
        return replace(super().load(root=root, download=download, progress=progress), class_names=("a", "a"))


@mutant
class Bytes(Tiny):
    def load(self, *, root, download, progress):
        return replace(super().load(root=root, download=download, progress=progress), mean=(120.0,), std=(60.0,))


@mutant
class Shuffled(Tiny):
    def load(self, *, root, download, progress):
        data = super().load(root=root, download=download, progress=progress)
        images = data.train.images.roll(next(CALLS) % 6, dims=0)
        return replace(data, train=ImageSet(images, data.train.labels))


@mutant
class Suggests(Tiny):
    def suggestions(self):
        return {"run.outer_lops": 2}


@mutant
class Silent(Tiny):
    def load(self, *, root, download, progress):
        if not (root / "tiny.bin").exists():
            raise FileNotFoundError("tiny.bin")
        return super().load(root=root, download=download, progress=progress)


@mutant
class Stirs(Tiny):
    def load(self, *, root, download, progress):
        torch.rand(1)
        return super().load(root=root, download=download, progress=progress)


# Parametrisations


@mutant
class Plain(Parametrisation):
    def init(self, images, labels, run):
        return {"images": images.clone().requires_grad_(), "labels": labels}

    def decode(self, stored):
        return stored["images"], stored["labels"]


@mutant
class Cropped(Plain):
    def decode(self, stored):
        return stored["images"].float(), stored["labels"]


@mutant
class Together(Plain):
    def decode(self, stored):
        return stored["images"] + stored["images"].mean(), stored["labels"]


@mutant
class Frozen(Plain):
    """A number that is stored to be learned, and not used."""

    def init(self, images, labels, run):
        return {**super().init(images, labels, run), "spare": torch.ones(len(images)).to(images).requires_grad_()}


@mutant
class Elsewhere(Plain):
    """Stores images as no set file can hold them."""

    def init(self, images, labels, run):
        return {"images": images.permute(0, 2, 3, 1).clone().requires_grad_(), "labels": labels}

    def decode(self, stored):
        return stored["images"].permute(0, 3, 1, 2), stored["labels"]


@mutant
class Dice(Plain):
    def init(self, images, labels, run):
        torch.rand(1)
        return super().init(images, labels, run)


# Selections


@mutant
class Picks(Selection):
    def select(self, data, ipc, run):
        return [own[:ipc] for own in run.real.by_class]


@mutant
class Fewer(Picks):
    def select(self, data, ipc, run):
        return super().select(data, max(1, ipc - 1), run)


@mutant
class Twice(Picks):
    def select(self, data, ipc, run):
        return [own[:1].repeat(ipc) for own in run.real.by_class]


@mutant
class Others(Picks):
    def select(self, data, ipc, run):
        return super().select(data, ipc, run)[::-1]


@mutant
class Moody(Picks):
    def select(self, data, ipc, run):
        shift = next(CALLS)
        return [own.roll(shift)[:ipc] for own in run.real.by_class]


@mutant
class Tosses(Picks):
    def select(self, data, ipc, run):
        torch.rand(1)
        return super().select(data, ipc, run)


@mutant
class Blinding(Picks):
    def make(self, ipc, run):
        rows = super().make(ipc, run)
        return replace(rows, images=rows.images / 0)


# Formats


@mutant
class Keeps(Format):
    """A folder of two bare tensors, in unit space; soft labels are logits."""

    def read(self, path, context):
        images, labels = self.load(path / "images.pt"), self.load(path / "labels.pt")
        return context.condensed(images, labels, space="unit", labels_are="logits")

    def write(self, s, path, context):
        found = context.decoded(s, "unit")
        path.mkdir()
        torch.save(found.images, path / "images.pt")
        torch.save(found.logits() if found.labels.is_floating_point() else found.classes(), path / "labels.pt")

    def load(self, path):
        return read_tensor(path)


@mutant
class Rounds(Keeps):
    def load(self, path):
        tensor = super().load(path)
        return (tensor * 100).round() / 100 if tensor.ndim == 4 else tensor


@mutant
class Relabels(Keeps):
    """Soft labels become hard without a word."""

    def read(self, path, context):
        images, labels = self.load(path / "images.pt"), self.load(path / "labels.pt")
        return context.condensed(images, labels.argmax(dim=1) if labels.ndim == 2 else labels, space="unit")


@mutant
class Counts(Keeps):
    def write(self, s, path, context):
        super().write(s, path, context)
        (path / "count.txt").write_text(str(next(CALLS)))


@mutant
class Scribbles(Keeps):
    """Moves what it was given by next to nothing."""

    def write(self, s, path, context):
        super().write(s, path, context)
        s.stored["images"].add_(1e-7)


@mutant
class Trusts(Keeps):
    """Takes what it cannot read for black images."""

    def load(self, path):
        try:
            return super().load(path)
        except DccError:
            if not path.exists():
                raise
            return torch.zeros(6, 3, 8, 8) if path.stem == "images" else torch.arange(3).repeat_interleave(2)


@mutant
class Vague(Keeps):
    def load(self, path):
        if not path.exists():
            raise DccError("a file is missing")
        return super().load(path)


@mutant
class Unpickles(Keeps):
    def load(self, path):
        try:
            return torch.load(path, weights_only=False)
        except FileNotFoundError as error:
            raise DccError(str(error)) from error


@mutant
class Shakes(Keeps):
    def load(self, path):
        torch.rand(1)
        return super().load(path)


# Studies


@mutant
class Shows(Study):
    """A number, drawn."""

    def conduct(self, bench):
        from matplotlib.figure import Figure

        figure = Figure()
        figure.subplots().plot([1, 2])
        rows = [{"x": 1}, {"x": 2}]
        return Findings(title="", page="![x](x.png)", numbers={"x": 1}, tables={"x": rows}, figures={"x": figure})


@mutant
class Hides(Shows):
    def conduct(self, bench):
        return replace(super().conduct(bench), page="")


@mutant
class Ragged(Shows):
    def conduct(self, bench):
        return replace(super().conduct(bench), tables={"x": [{"x": 1}, {"y": 1}]})


@mutant
class Endless(Shows):
    def conduct(self, bench):
        return replace(super().conduct(bench), numbers={"x": float("inf")})


@mutant
class Whims(Shows):
    def conduct(self, bench):
        return replace(super().conduct(bench), numbers={"x": next(CALLS)})


@mutant
class Gambles(Shows):
    def conduct(self, bench):
        torch.rand(1)
        return super().conduct(bench)


# Observers


class Ears:
    @hookimpl
    def dcc_step_finished(self, report):
        assert report.loss == report.loss


@mutant
class Hears(Observer):
    def listen(self, run):
        return Ears()


@mutant
class Deaf(Hears):
    def listen(self, run):
        return object()


class Trips(Ears):
    @hookimpl
    def dcc_evaluated(self, report):
        raise OSError("no room")


@mutant
class Stumbles(Hears):
    def listen(self, run):
        return Trips()


@mutant
class Rattles(Hears):
    def listen(self, run):
        torch.rand(1)
        return super().listen(run)
