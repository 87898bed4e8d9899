# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0


import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from nemo.collections.asr.parts.submodules import _subsampling_base as base
from nemo.collections.asr.parts.submodules.causal_convs import CausalConv2D
from nemo.utils.fast_paths import is_as_made, is_on, runs_eagerly
from nemo.utils.shadowing import inherit_module

inherit_module(base, globals(), replacing=("ConvSubsampling", "MaskedConvSequential"))

NO_ZEROS = (0, 0)
# What a container of layers has by itself. NeMo or a fork that sets more means something by it.
KNOWN_ATTRIBUTES = frozenset(vars(nn.Sequential()))


class ConvSubsampling(base.ConvSubsampling):
    """NeMo's convolutional subsampling, to the bit, with fewer passes over its largest tensors."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if type(self.conv) is base.MaskedConvSequential:
            # the class of the container that NeMo has made, not a new one: what was set on it stays
            self.conv.__class__ = MaskedConvSequential


class MaskedConvSequential(base.MaskedConvSequential):
    """NeMo's convolutions, in which nothing comes out of padding.

    NeMo multiplies by a mask before and after every layer. What comes out is the same if only the input and what each
    ReLU makes are zero in padding, and that is one pass with the ReLU and with the zeros that a causal convolution
    adds at the sides.

    NeMo's own forward runs instead where PyTorch does not just run (`runs_eagerly`), for layers other than `Conv2d`
    and `CausalConv2D` in stages that end in a ReLU (`striding` and `dw_striding`), for layers with hooks or a
    `forward` of their own, and where something unknown has been set on this container.
    """

    def forward(self, x, lengths):
        """Convolves; zeros are put into padding once for each ReLU.

        Args:
            x: features (B, T, D)
            lengths: valid frames, (B,)
        Returns:
            (B, C, T', D') with zeros in padding, and its valid frames (B,)
        """
        stages = self._stages() if is_on("subsampling") and runs_eagerly(x, lengths) else None
        if stages is None:
            return super().forward(x, lengths)
        lengths = lengths.float()
        x = x.unsqueeze(1)
        x = x * _is_valid(x, lengths).to(x.dtype)
        has_zeros_at_sides = False
        for stage, following in zip(stages, [*stages[1:], None]):
            for convolution in stage:
                x = nn.Conv2d.forward(convolution, x) if has_zeros_at_sides else convolution(x)
                has_zeros_at_sides = False
                if convolution.stride != (1, 1):
                    lengths = _valid_after(convolution, lengths)
            sides = NO_ZEROS if following is None else _zeros_to_add(following[0])
            x, has_zeros_at_sides = _ReluWhereValid.apply(x, lengths, sides), sides != NO_ZEROS
        return x, lengths.long()

    def _stages(self) -> list[list[nn.Conv2d]] | None:
        """The convolutions before each ReLU; None if the layers are not of this kind."""
        if vars(self).keys() - KNOWN_ATTRIBUTES or _has_any_global_hook():
            return None
        stages, stage = [], []
        for layer in self:
            if not is_as_made(layer):
                return None
            if type(layer) in (nn.Conv2d, CausalConv2D):
                stage.append(layer)
            elif type(layer) is nn.ReLU and stage:
                stages.append(stage)
                stage = []
            else:
                return None
        return None if stage else stages


class _ReluWhereValid(torch.autograd.Function):
    """ReLU of (B, C, T, D), zero from `lengths` on, with zeros added at the sides of T and D: one tensor is kept."""

    @staticmethod
    def forward(ctx, x: Tensor, lengths: Tensor, sides: tuple[int, int]) -> Tensor:
        out = x
        if sides == NO_ZEROS:
            ctx.mark_dirty(x)
        else:
            out = x.new_zeros(*x.shape[:2], *(size + sum(sides) for size in x.shape[2:]))
        inner = torch.clamp_min(x, 0, out=_without_sides(out, sides))
        _zero_padding_(inner, lengths)
        ctx.save_for_backward(out)
        ctx.sides = sides
        return out

    @staticmethod
    def backward(ctx, grad: Tensor):
        # nothing but differentiable operations: gradients can be differentiated again
        grad, out = (_without_sides(tensor, ctx.sides) for tensor in (grad, *ctx.saved_tensors))
        return torch.ops.aten.threshold_backward(grad, out, 0), None, None


def _without_sides(x: Tensor, sides: tuple[int, int]) -> Tensor:
    """A view."""
    for dim in (2, 3):
        x = x.narrow(dim, sides[0], x.size(dim) - sum(sides))
    return x


def _zero_padding_(x: Tensor, lengths: Tensor):
    """Zeros from `lengths` on, in place. On a CPU it costs nothing to look where that is, and little is written."""
    if x.device.type != "cpu":
        x.masked_fill_(torch.logical_not(_is_valid(x, lengths)), 0)
        return
    for row, length in zip(x, lengths.long().clamp(0, x.size(2)).tolist()):
        row.narrow(1, length, x.size(2) - length).zero_()


def _is_valid(x: Tensor, lengths: Tensor) -> Tensor:
    """Which frames of x (B, C, T, D) are no padding, (B, 1, T, 1) booleans."""
    return (torch.arange(x.size(2), device=x.device) < lengths.unsqueeze(1)).unsqueeze(1).unsqueeze(3)


def _zeros_to_add(convolution: nn.Conv2d) -> tuple[int, int]:
    """The zeros that a convolution adds before and after its input with a copy of it."""
    causal = isinstance(convolution, CausalConv2D)
    return (convolution._left_padding, convolution._right_padding) if causal else NO_ZEROS


def _valid_after(convolution: nn.Conv2d, lengths: Tensor) -> Tensor:
    padding = _zeros_to_add(convolution) if isinstance(convolution, CausalConv2D) else convolution.padding
    return base.calculate_conv_output_size(lengths, convolution.kernel_size[0], convolution.stride[0], padding)


def unwrap_subsampling(weights: dict[str, Tensor], encoder: str) -> set[str]:
    """Gives an encoder's subsampling that was pretrained with `mask_position: post_conv` its own names, in place.

    There it stands inside the module that masks behind it.

    Args:
        weights: of a model
        encoder: what the encoder's names begin with
    Returns:
        the names that its weights have got; empty if they were not in such a module
    """
    own, wrapped = f"{encoder}pre_encode.", f"{encoder}pre_encode.pre_encode."
    names = {name: own + name.removeprefix(wrapped) for name in weights if name.startswith(wrapped)}
    for name, new in names.items():
        weights[new] = weights.pop(name)
    return set(names.values())
