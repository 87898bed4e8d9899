# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Decoding of the masked encoder steps only: the others are not in the loss, and most steps are others.

A decoder with thousands of classes makes the largest tensor of a training step. Here a linear decoder, the softmax and
the loss run on the masked steps alone, some hundred of them at a time, and make their gradients at once, so that no
logits are kept for the backward pass.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nemo.collections.asr.losses.ssl_losses.mlm import MLMLoss, MultiMLMLoss, TokenPredictions
from nemo.collections.asr.modules.ssl_modules.multi_softmax_decoder import MultiSoftmaxDecoder
from nemo.utils.fast_paths import is_as_made, is_on, runs_eagerly
from nemo.utils.precision import at_least_float32

# Frames whose logits of one head are there at a time: enough for a matrix product at full speed, and elsewhere than on
# a CPU for few operations.
CHUNK_FRAMES = {"cpu": 256}
CHUNK_FRAMES_ELSEWHERE = 2048


def decode_masked(decoder: MultiSoftmaxDecoder, encoded: Tensor, targets: Tensor, in_loss: Tensor) -> TokenPredictions:
    """
    What `mlm.read_log_probs` says of the decoder's output, without making all of it: the same loss and gradients.

    The number of masked steps decides over shapes: here the host waits for the device, as it does in NeMo's loss.

    Args:
        decoder: one that `can_decode_masked`
        encoded: the encoder's output, (B, D, T')
        targets: tokens (B, T'', H)
        in_loss: (B, T, H) booleans, T <= T', T''
    """
    steps = in_loss.size(1)
    rows = in_loss.any(dim=2).flatten().nonzero().squeeze(1)
    frames, targets, counted = (
        x.flatten(0, 1).index_select(0, rows)
        for x in (encoded.transpose(1, 2).narrow(1, 0, steps), targets.narrow(1, 0, steps), in_loss)
    )
    layer = decoder.decoder_layers[0]
    weight, bias = layer.weight.squeeze(2), layer.bias
    if torch.is_autocast_enabled(encoded.device.type):
        dtype = torch.get_autocast_dtype(encoded.device.type)
        frames, weight, bias = (None if x is None else x.to(dtype) for x in (frames, weight, bias))
    # with several codebooks, some tokens of a step may be out of the loss; they hardly ever are
    options = (bool(counted.all()), torch.is_grad_enabled())
    sums = _LinearDecoding.apply(frames, weight, bias, targets.where(counted, 0), counted, *options)
    return TokenPredictions(*sums, in_loss)


def can_decode_masked(decoder: nn.Module, loss: nn.Module) -> bool:
    """Whether `decode_masked` can stand in for a decoder and a loss: NeMo's `MultiSoftmaxDecoder` and our losses, with
    nothing added to them, while PyTorch is just running."""
    if not is_on("decoding") or type(loss) not in (MLMLoss, MultiMLMLoss) or type(decoder) is not MultiSoftmaxDecoder:
        return False
    is_linear = [type(layer) is nn.Conv1d and layer.kernel_size == (1,) for layer in decoder.decoder_layers] == [True]
    return is_linear and all(map(is_as_made, decoder.modules())) and runs_eagerly(*decoder.parameters())


class _LinearDecoding(torch.autograd.Function):
    """Sums, over (M, D) frames, of the negative log-likelihoods of their targets (M, H): of all, and of each head.
    The third result is the number of correct ones of each head.

    Only the targets that are `counted`, (M, H) booleans, are in the sums.

    Gradients of the first sum are made in the forward pass. What the loss is divided by, and a gradient scaler's
    factor, come in the backward pass: so what is small does not vanish in fp16.
    """

    @staticmethod
    def forward(ctx, frames, weight, bias, targets, counted, all_counted, has_backward):
        dtype = at_least_float32(frames)
        nats, head_nats = (torch.zeros(shape, dtype=dtype, device=frames.device) for shape in ((), targets.shape[1:]))
        head_correct = torch.zeros_like(head_nats, dtype=torch.long)
        gradients = _Gradients(frames, weight, bias) if has_backward else None
        size = max(1, CHUNK_FRAMES.get(frames.device.type, CHUNK_FRAMES_ELSEWHERE) // targets.size(1))
        chunks = zip(*(tensor.split(size) for tensor in (frames, targets.unsqueeze(1), counted.unsqueeze(1))))
        for i, (x, target, counts) in enumerate(chunks):
            logits = F.linear(x, weight, bias).unflatten(1, (-1, target.size(2)))  # the codebook is the last index
            largest, likeliest = logits.max(dim=1, keepdim=True)
            probabilities = torch.softmax(logits, dim=1, dtype=dtype)
            # the largest probability is at least 1 / C: its logarithm is exact where the target's would be -inf
            behind = largest.to(dtype) - logits.gather(1, target).to(dtype)
            losses = (behind - probabilities.gather(1, likeliest).log()).where(counts, 0)
            nats += losses.sum()
            head_nats += losses.sum(dim=(0, 1))
            head_correct += torch.logical_and(likeliest == target, counts).sum(dim=(0, 1))
            if has_backward:
                d_logits = probabilities.scatter_add_(1, target, -torch.ones_like(behind))
                d_logits = d_logits if all_counted else d_logits.mul_(counts)
                gradients.add(i * size, x, weight, d_logits.flatten(1).to(x.dtype))
        ctx.gradients = gradients
        ctx.mark_non_differentiable(head_nats, head_correct)
        return nats, head_nats, head_correct

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, *_):
        return (*ctx.gradients.times(grad), None, None, None, None)


class _Gradients:
    """Gradients of a linear layer, summed over chunks of its input; those of the parameters not in half precision."""

    def __init__(self, frames: Tensor, weight: Tensor, bias: Tensor | None):
        self.frames, self.dtype = torch.empty_like(frames), weight.dtype
        self.weight = torch.zeros_like(weight, dtype=at_least_float32(weight))
        self.bias = None if bias is None else torch.zeros_like(bias, dtype=at_least_float32(bias))

    def add(self, start: int, x: Tensor, weight: Tensor, d_out: Tensor):
        """Adds a chunk of frames (m, D) that begins at frame `start`, with the gradient (m, C * H) of its output."""
        torch.mm(d_out, weight, out=self.frames.narrow(0, start, x.size(0)))
        if self.weight.dtype == d_out.dtype:
            self.weight.addmm_(d_out.mT, x)
        else:
            self.weight.add_(torch.mm(d_out.mT, x))
        if self.bias is not None:
            self.bias.add_(d_out.sum(dim=0, dtype=self.bias.dtype))

    def times(self, factor: Tensor) -> tuple:
        """Times what comes from above, in the precision of the layer."""
        gradients = (self.frames, self.weight, self.bias)
        return tuple(None if x is None else (x * factor).to(self.dtype) for x in gradients)
