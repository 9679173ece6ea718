"""Group norm, and so instance norm, whose second derivative takes few operations on maps; torch's takes sixty."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def group_norm(
    maps: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """`torch.nn.functional.group_norm` for maps (B, C, ...); equal to it to rounding, in value and derivatives.

    It is torch's own for maps with their channels last, in another type than the weight, and without numbers.
    """
    affine = {None if t is None else t.dtype for t in (weight, bias)}
    if not maps.numel() or not maps.is_contiguous() or affine not in ({None}, {maps.dtype}):
        return F.group_norm(maps, num_groups, weight, bias, eps)
    size = (maps.shape[0], maps.shape[1], maps[0, 0].numel(), num_groups)
    return _GroupNorm.apply(maps, weight, bias, size, eps)  # pyright: ignore[reportReturnType]


class _GroupNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        maps, weight, bias, ctx.size, ctx.eps = inputs
        result, mean, rstd = torch.native_group_norm(maps, weight, bias, *ctx.size, ctx.eps)  # pyright: ignore[reportCallIssue]
        ctx.save_for_backward(maps, weight, mean, rstd)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return *_Derivative.apply(gradient.contiguous(), *ctx.saved_tensors, ctx.size, ctx.eps), None, None


class _Derivative(torch.autograd.Function):
    """From g = dL/dy: dL/dx, dL/dweight, dL/dbias, where dL/dx = (u - mean(u) - x̂ mean(u x̂)) / σ and u = weight g."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        gradient, maps, weight, mean, rstd, ctx.size, ctx.eps = inputs
        ctx.save_for_backward(gradient, maps, weight, rstd)
        ctx.set_materialize_grads(False)
        needs = [True, weight is not None, weight is not None]
        return torch.ops.aten.native_group_norm_backward(gradient, maps, mean, rstd, weight, *ctx.size, needs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, for_maps: Tensor | None, for_weight: Tensor | None, for_bias: Tensor | None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Sums of g, v (the cotangent of dL/dx) and x̂, with a factor for each channel (n, groups, channels, 1)."""
        gradient, maps, weight, rstd = ctx.saved_tensors
        n, channels, pixels, groups = ctx.size
        shape, row = (n, groups, channels // groups, pixels), (1, groups, -1, 1)

        def average(of_channel: Tensor) -> Tensor:
            return of_channel if groups == channels else of_channel.mean(dim=-2, keepdim=True)

        inner = functools.partial(torch.einsum, "ngcp,ngcp->ngc")
        x = torch.native_group_norm(maps, None, None, *ctx.size, ctx.eps)[0].view(shape)  # pyright: ignore[reportCallIssue]
        g, rstd = gradient.view(shape), rstd.view(n, groups, 1, 1)
        v = torch.zeros_like(g) if for_maps is None else for_maps.reshape(shape)
        sums = torch.stack([v.sum(3), inner(v, x), g.sum(3), inner(g, x), inner(g, v)])
        means = sums.unsqueeze(4).div_(pixels)
        of_v, of_g, gx, gv = means[:2], means[2:4], means[3], means[4]
        a, b = average(of_v)
        rest = gv.addcmul(a, of_g[0], value=-1).addcmul_(b, gx, value=-1)
        scale = 1.0 if weight is None else weight.view(row)
        result_g = v.addcmul(x, b, value=-1).sub_(a).mul_(rstd * scale)
        ux, times_g, s = average(scale * gx), scale * b, average(scale * rest)
        if for_weight is not None:
            result_g.addcmul_(x, for_weight.view(row))
            times_g = times_g - for_weight.view(row) / rstd
        if for_bias is not None:
            result_g.add_(for_bias.view(row))
        mean, mean_x = average((ux * of_v).addcmul_(times_g, of_g))
        result_x = (ux * v).addcmul_(g, times_g).sub_(mean).addcmul_(x, mean_x - s, value=-1).mul_(-rstd.square())
        of_weight = None if weight is None else (rest * rstd).sum(dim=0).view(weight.shape) * pixels
        return result_g.reshape(gradient.shape), result_x.reshape(maps.shape), of_weight, None, None, None, None
