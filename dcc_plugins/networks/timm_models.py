"""Every classifier of timm as an architecture: `timm/resnet18`, `timm/vit_tiny_patch16_224`, ..."""

from __future__ import annotations

import bisect
import difflib
import functools
import inspect
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, final

import timm
import torch
from torch import Tensor, nn

from dcc_core import Architecture, DccError, seeded

log = logging.getLogger("dcc")

OURS = {
    "in_chans": "the data's",
    "num_classes": "the data's",
    "img_size": "the data's",
    "pretrained": "false: networks begin with random weights, unless weights=pretrained",
    "pretrained_cfg": "left alone: networks begin with random weights",
    "pretrained_cfg_overlay": "left alone: networks begin with random weights",
    "checkpoint_path": "left empty: networks begin with random weights",
    "features_only": "false: a classifier is wanted",
    "device": "the run's",
    "dtype": "the run's",
}
"""Arguments of `timm.create_model` that are not the user's here."""

SKIPPING = "its shortcuts skip pixels, -o arch.avg_down=true averages them"

Arguments = dict[str, Any]
Size = tuple[int, int]


def names() -> list[str]:
    """The models that this timm knows."""
    return timm.list_models()


@final
@dataclass(frozen=True, kw_only=True)
class TimmModel(Architecture):
    """A classifier of timm, for images of the data's size and channels, with random initial weights unless asked.

    The model's arguments are options, `-o arch.drop_path_rate=0.1`, if they are numbers, words or lists of them.
    Raises ValueError for a name or an argument that timm does not know.
    """

    model: Annotated[str, "a name in timm: resnet18, vit_tiny_patch16_224, ..."]
    stem: Annotated[
        Literal["small", "original"],
        "small: smaller patches for small images, so that there are as many as at the model's own size at most",
    ] = "small"
    weights: Annotated[
        Literal["random", "pretrained"], "initial weights; pretrained: timm's, fetched unless they are there"
    ] = "random"
    arguments: Annotated[
        Mapping[str, object], "any argument of the model that is a number, a word or a list of them"
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.model.startswith("dcc_"):
            raise ValueError(f"'{self.model}' is a network of dcc in timm's registry: use dcc's own name for it")
        if not timm.is_model(self.model.partition(".")[0]):
            close = difflib.get_close_matches(self.model, names(), n=3)
            hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise ValueError(f"timm {timm.__version__} has no model '{self.model}'.{hint}")
        for name in self.arguments:
            if name in OURS:
                raise ValueError(f"{name} is {OURS[name]}; it is no option")
            if self.arguments[name] is None:
                raise ValueError(f"{name}=none: timm leaves out arguments that are none")
        _outline(self.model, dict(self.arguments))

    def describe(self) -> str:
        """The model's class, size and arguments."""
        outline = _outline(self.model, dict(self.arguments))
        millions = sum(p.numel() for p in outline.parameters()) / 1e6
        taken = {k: v for k, v in _parameters(type(outline)).items() if k not in OURS}
        listed = ", ".join(k if v is inspect.Parameter.empty else f"{k}={_describe(v)}" for k, v in taken.items())
        side = _own_side(self.model)
        return (
            f"{self.model}: {type(outline).__name__}, {millions:.1f} million parameters with 1000 classes, "
            f"made for {side}×{side} images.\nArguments: {listed}"
        )

    def build(self, *, channels: int, classes: int, size: Size, generator: torch.Generator) -> TimmClassifier:
        chosen = tuple(sorted(self.arguments.items()))
        arguments = _fit_stem(self.model, self.stem, chosen, channels, classes, size)
        with seeded(generator):
            if self.weights == "random":
                return TimmClassifier(timm.create_model(self.model, **arguments))
            try:
                return TimmClassifier(timm.create_model(self.model, pretrained=True, **arguments))
            except Exception as error:  # whatever the network, the cache or other shapes lead timm to
                raise DccError(
                    f"timm/{self.model}: its pretrained weights cannot be had: {_reason(error)}; fetch them where "
                    "there is a network, take stem=original, or weights=random"
                ) from error


class TimmClassifier(nn.Module):
    """A timm model as a `dcc_core.Classifier`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)

    def embed(self, images: Tensor) -> Tensor:
        """What the model's last layer sees, (B, D)."""
        model: Any = self.model
        return model.forward_head(model.forward_features(images), pre_logits=True).flatten(1)


def _on_meta(model: str, arguments: Arguments) -> nn.Module:
    """A model that holds shapes alone. An older timm computes those of RegNets with tensors: on the CPU, then."""
    try:
        with torch.device("meta"):
            return timm.create_model(model, **arguments)
    except RuntimeError:
        with seeded(torch.Generator()):
            return timm.create_model(model, **arguments).to("meta")


def _outline(model: str, arguments: Arguments) -> nn.Module:
    """The model without memory for its weights. Raises ValueError for arguments that it does not take."""
    try:
        return _on_meta(model, arguments)
    except Exception as error:
        if not arguments:
            raise ValueError(f"timm/{model} cannot be built: {_reason(error)}") from None
        known = _parameters(type(_outline(model, {})))
        hints = [h for name in arguments if name not in known and (h := _hint(name, known))]
        given = ", ".join(f"{k}={v}" for k, v in arguments.items())
        raise ValueError(f"timm/{model} does not take {given}: {_reason(error)}.{''.join(hints)}") from None


@functools.cache
def _fit_stem(
    model: str, stem: str, chosen: tuple[tuple[str, object], ...], channels: int, classes: int, size: Size
) -> Arguments:
    """The arguments of a model for some images: tried on shapes alone, once.

    Raises DccError if no arguments fit.
    """
    asked: Arguments = {**dict(chosen), "in_chans": channels, "num_classes": classes}
    outline = _outline(model, dict(chosen))
    known = _parameters(type(outline))
    patches = (
        _patches(model, outline, size)
        if stem == "small" and "patch_size" in known and "patch_size" not in asked
        else []
    )
    reasons: list[str] = []
    for patch in [*patches, None]:
        arguments = asked | ({} if patch is None else {"patch_size": patch})
        reason = _misfit(model, arguments, size, "img_size" in known)
        if not reason:
            _warn_of_small_images(model, outline, size, patch)
            return arguments | ({"img_size": size} if "img_size" in known else {})
        reasons.append(reason)
    side = _smallest(model, asked, _first_stride(outline) if "img_size" in known else 1)
    words = "The smallest that it takes are" if side > max(size) else "It takes"
    hint = f" {words} {side}×{side}" if side else ""
    raise DccError(f"timm/{model} does not take {size[0]}×{size[1]} images: {reasons[-1]}.{hint}")


def _misfit(model: str, arguments: Arguments, size: Size, sized: bool) -> str:
    """Why a model with these arguments does not classify images of this size; empty if it does."""
    try:
        network = TimmClassifier(_on_meta(model, arguments | ({"img_size": size} if sized else {}))).eval()
        with torch.device("meta"):
            images = torch.empty(2, arguments["in_chans"], *size)
            logits = network(images)
            features = network.embed(images)
    except Exception as error:
        return _reason(error)
    expected = (2, arguments["num_classes"])
    if not isinstance(logits, Tensor) or logits.shape != expected or features.ndim != 2:
        return "it has no classifier head"
    return ""


def _patches(model: str, outline: nn.Module, size: Size) -> list[int]:
    """Patch sizes below the model's own, in the order in which to try them."""
    own = _first_stride(outline)
    most = _own_side(model) // own
    powers = [2**i for i in range(own.bit_length()) if 2**i < own]
    return [p for p in powers if max(size) // p <= most]


def _first_stride(outline: nn.Module) -> int:
    """Stride of the first convolution: the patch size of a model that begins with patches."""
    return next((m.stride[0] for m in outline.modules() if isinstance(m, nn.Conv2d) and isinstance(m.stride, tuple)), 1)


def _own_side(model: str) -> int:
    """Side of the images that a model is made for."""
    config = timm.get_pretrained_cfg(model)
    return config.input_size[-1] if config else 224


def _warn_of_small_images(model: str, outline: nn.Module, size: Size, patch: int | None) -> None:
    side = _own_side(model)
    images = f"{size[0]}×{size[1]} images"
    if patch is not None:
        log.info(f"timm/{model}: patches of {patch}×{patch} for {images}; -o arch.stem=original for its own")
    elif 2 * max(size) <= side and _first_stride(outline) > 1:
        words = f"timm/{model} is made for {side}×{side} images and has no stem for small ones: {images} lose detail"
        log.warning(words + (f"; {SKIPPING}" if _skips_pixels(outline) else ""))


def _skips_pixels(outline: nn.Module) -> bool:
    """Whether it is a ResNet whose shortcuts look at one pixel of four, and could look at their average.

    Where residual branches begin as zero, an untrained network sees nothing else: at 32×32, a corner of the image.
    """
    strided = (m for m in outline.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1))
    return "avg_down" in _parameters(type(outline)) and any(m.stride != (1, 1) for m in strided)


def _smallest(model: str, arguments: Arguments, unit: int) -> int:
    """The side of the smallest images that a model takes, up to its own size; 0 if it takes none.

    In multiples of a unit if the model wants its size told. Sizes that grow by a half or a third are tried in turn,
    then those below the first that fits.
    """
    sized = unit > 1

    def fits(multiple: int) -> bool:
        return not _misfit(model, arguments, (multiple * unit, multiple * unit), sized)

    last = _own_side(model) // unit
    steps = sorted(n for power in range(last.bit_length()) for n in (2**power, 3 * 2**power) if n <= last)
    first = next((i for i, n in enumerate(steps) if fits(n)), None)
    if first is None:
        return 0
    below = range(steps[first - 1] + 1 if first else steps[first], steps[first] + 1)
    return below[bisect.bisect_left(below, True, key=fits)] * unit


def _parameters(cls: type) -> dict[str, Any]:
    """The constructor's parameters with their defaults, those of its base classes too if it passes them on."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        if "__init__" in vars(base):
            parameters = list(inspect.signature(base.__init__).parameters.values())[1:]
            for p in parameters:
                if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
                    found.setdefault(p.name, p.default)
            if all(p.kind != p.VAR_KEYWORD for p in parameters):
                break
    return found


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def _describe(value: object) -> str:
    return getattr(value, "__name__", None) or repr(value)
