# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import torch
import torch.nn.functional as F
from torch import Tensor

from nemo.collections.asr.modules.ssl_modules import _quantizers_base as base
from nemo.core.classes import typecheck
from nemo.utils.fast_paths import is_on, runs_eagerly
from nemo.utils.precision import at_least_float32
from nemo.utils.shadowing import inherit_module

inherit_module(base, globals(), replacing=("RandomProjectionVectorQuantizer",))

# Scores held at a time: 16 MiB of float64, which is 256 frames of one codebook with 8192 codes. That is enough for a
# matmul to run at full speed, and next to nothing beside the encoder's activations, however long the batch is.
MAX_SCORES = 2**21

# as in NeMo's preprocessor: a feature that never changes must not be divided by zero
EPSILON = 1e-5


class RandomProjectionVectorQuantizer(base.RandomProjectionVectorQuantizer):
    """NeMo's random-projection quantizer in a fraction of the time and memory, for any number of frames.

    Both values of `dist_fn` give the tokens of NeMo's `l2`: projected features and codes are unit vectors, so the
    nearest code is also the one with the largest cosine. (NeMo's `cosine` raises, because codebooks are float64.)

    Source: BEST-RQ (https://arxiv.org/abs/2202.01855).
    """

    @typecheck()
    def forward(self, input_signal):
        """Finds the nearest code of each group of frames, in each codebook.

        Args:
            input_signal: features of shape (B, D, T), or (B, T, D) if `time_ahead`. Where T is no multiple of
                `combine_time_steps`, zeros fill the last group up, as the preprocessor's `pad_to` would.
        Returns:
            xq: quantized features of shape (B, D', T', H), or (B, T', D', H) if `time_ahead`, in the codebooks' dtype,
                T' = ceil(T / combine_time_steps)
            xid: tokens of shape (B, T', H). H is left out if it is 1 and `squeeze_single` is set.
        """
        if not is_on("quantizer") and self.dist_fn == "l2":
            return super().forward(input_signal=self._filled_up(input_signal))
        xid = nearest_codes(self._project(input_signal).detach(), self.codebooks.detach())
        xq = self._look_up(xid)
        if not self.time_ahead:
            xq = xq.transpose(1, 2)
        if self.num_books == 1 and self.squeeze_single:
            xq, xid = xq.squeeze(-1), xid.squeeze(-1)
        return xq, xid

    def _project(self, input_signal: Tensor) -> Tensor:
        """Features, (B, T, D) or (B, D, T) -> unit vectors (B, T', H, D')."""
        feats = self._filled_up(input_signal)
        feats = feats if self.time_ahead else feats.transpose(1, 2)
        groups = feats.size(1) // self.combine_time_steps
        feats = feats.reshape(feats.size(0), groups, feats.size(2) * self.combine_time_steps)
        projected = self.proj(feats).unflatten(-1, (self.num_books, self.code_dim))
        return F.normalize(projected, dim=-1)

    def _filled_up(self, input_signal: Tensor) -> Tensor:
        """With zeros up to a whole group of frames, of the same layout."""
        lacking = -input_signal.size(1 if self.time_ahead else 2) % self.combine_time_steps
        return F.pad(input_signal, (0, 0, 0, lacking) if self.time_ahead else (0, lacking))

    def _look_up(self, xid: Tensor) -> Tensor:
        """Tokens (B, T', H) -> their codes, (B, T', D', H)."""
        first_code = self.num_classes * torch.arange(self.num_books, device=xid.device)
        # With several codebooks NeMo reads what lies as (B, H, T', D') as (B, T', D', H). So do we: callers that use
        # xq were written against those values.
        rows = (xid + first_code).transpose(1, 2).flatten()
        codes = F.embedding(rows, self.codebooks.flatten(0, 1))
        return codes.view(xid.size(0), xid.size(1), self.code_dim, self.num_books)


def nearest_codes(vectors: Tensor, codebooks: Tensor) -> Tensor:
    """The index of the code nearest to each vector, `argmin_k |vectors[b, t, h] - codebooks[h, k]|`.

    |x - c|^2 = |x|^2 + 2 * (|c|^2 / 2 - x.c), where |x|^2 is the same for all codes: a matmul gives the rest. It is
    done in float64, as in NeMo, because float32 takes another code where two are about equally near. Nothing here
    waits for the device. `MAX_SCORES` are held at a time; in a graph (compiling, exporting) all of them, because how
    often to repeat the matmul would bind it to one number of frames.

    Args:
        vectors: (B, T, H, D), any floating dtype
        codebooks: (H, K, D)
    Returns:
        indices of shape (B, T, H)
    """
    codebooks = codebooks.double()
    # All codes are equally near to a zero vector (a padding frame), and the last bit of their norms decides. For
    # NeMo's choice these must be NeMo's norms: taken over this dimension of this layout.
    half_squares = (-codebooks.transpose(1, 2)).norm(dim=-2).square().unsqueeze(1) / 2
    frames = vectors.flatten(0, 1).transpose(0, 1)
    chunks = [frames]
    if runs_eagerly(vectors):
        chunks = frames.split(max(1, MAX_SCORES // half_squares.numel()), dim=1)
    nearest = [
        torch.baddbmm(half_squares, chunk.double(), codebooks.transpose(1, 2), alpha=-1).argmin(dim=-1).t()
        for chunk in chunks
    ]
    return torch.cat(nearest, dim=0).reshape(vectors.shape[:-1])


def normalize_per_feature(feats: Tensor, lengths: Tensor) -> Tensor:
    """Each feature of each utterance with mean 0 and standard deviation 1 over its valid frames; padding is 0.

    What `normalize: per_feature` does in NeMo's preprocessor, without a look at a value from the host.

    Args:
        feats: features of shape (B, D, T), any floating dtype; sums are taken in float32 at least
        lengths: valid frames, (B,)
    Returns:
        normalised features of shape (B, D, T), in the dtype of `feats`
    """
    dtype, feats = feats.dtype, feats.to(at_least_float32(feats))
    valid = (torch.arange(feats.size(2), device=feats.device) < lengths.unsqueeze(1)).unsqueeze(1)
    count = lengths.clamp(min=1).view(-1, 1, 1)
    centred = (feats - feats.where(valid, 0).sum(dim=2, keepdim=True) / count).where(valid, 0)
    deviation = (centred.square().sum(dim=2, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
    return (centred / (deviation + EPSILON)).to(dtype)
