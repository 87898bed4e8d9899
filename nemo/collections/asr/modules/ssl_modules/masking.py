# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import inspect
import math
import numbers
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nemo.collections.asr.modules.ssl_modules import _masking_base as base
from nemo.collections.asr.modules.ssl_modules.block_sampling import block_starts, overlapping_blocks, separate_blocks
from nemo.collections.asr.modules.ssl_modules.mask_limits import ensure_one_step, limit_share
from nemo.collections.asr.modules.ssl_modules.mask_windows import Windows
from nemo.core.neural_types import NeuralType
from nemo.utils import logging, logging_mode
from nemo.utils.option_checks import check_integer, check_number
from nemo.utils.shadowing import inherit_module

inherit_module(base, globals(), replacing=("RandomBlockMasking", "ConvFeatureMaksingWrapper"))


class RandomBlockMasking(base.RandomBlockMasking):
    """Masks random blocks of frames; with `causal=True` only where a streaming encoder can still see past them.

    A streaming encoder sees `left_context_size` encoder frames back. A block as long as that leaves nothing to predict
    it from, so a causal mask is drawn window by window and leaves a part of every window unmasked. Each frame is as
    likely to be masked as without `causal`; only which frames are masked together differs.

    Source of block masking: BEST-RQ (https://arxiv.org/abs/2202.01855); NEST (https://arxiv.org/abs/2408.13106).

    Args:
        feat_in: number of features D
        mask_prob: with `allow_overlap` the probability that a frame starts a block, otherwise the masked share; 0 to 1
        block_size: frames per block, at least 1
        mask_value: constant that replaces masked features; None for a random vector of size D
        freeze: if True, that vector is not trained
        allow_overlap: if True, blocks may overlap
        max_mask_ratio: at most this share of a window is masked (causal), above 0 and up to 1; also decides from which
            length on an utterance is too short for a block
        causal: draw the mask for a streaming encoder; the arguments below are ignored otherwise
        left_context_size: tightest left attention context of the encoder, in encoder frames (80 ms each after
            8-fold subsampling); -1 is unlimited
        context_stride: input frames of this module per encoder frame: `subsampling_factor` where features are masked
            before the encoder's subsampling (`pre_conv`), 1 after it (`post_conv`)

    Raises:
        ValueError: an argument is out of its range. Where none of the last three is set, values that NeMo masks with
            are taken as it takes them, with a warning (see `checked_masking_options`).
    """

    def __init__(
        self,
        feat_in: int,
        mask_prob: float = 0.5,
        block_size: int = 48,
        mask_value: float | None = None,
        freeze: bool = True,
        allow_overlap: bool = False,
        max_mask_ratio: float = 0.8,
        causal: bool = False,
        left_context_size: int = -1,
        context_stride: int = 1,
    ):
        options = dict(
            mask_prob=mask_prob,
            block_size=block_size,
            max_mask_ratio=max_mask_ratio,
            causal=causal,
            left_context_size=left_context_size,
            context_stride=context_stride,
        )
        checked, problems = checked_masking_options(options)
        if problems:
            logging.warning(f"Options of the masking are used as NeMo uses them, but {'; '.join(problems)}.")
        super().__init__(feat_in=feat_in, mask_value=mask_value, freeze=freeze, allow_overlap=allow_overlap, **checked)
        self.causal = causal
        self.left_context_size = left_context_size
        self.context_stride = context_stride

    @staticmethod
    def check_options(options: Mapping[str, Any]) -> None:
        """Raises a ValueError if a value in a config's `masking` section is out of its range, before a class is built.

        What the section leaves out has the default of `__init__`.
        """
        parameters = inspect.signature(RandomBlockMasking).parameters.values()
        checked_masking_options({parameter.name: parameter.default for parameter in parameters} | dict(options))

    @property
    def input_types(self):
        """What `forward` takes."""
        return {
            **super().input_types,
            "current_frame": NeuralType(optional=True),
            "effective_left_context": NeuralType(optional=True),
        }

    def forward(
        self,
        input_feats: Tensor,
        input_lengths: Tensor,
        current_frame: int | Tensor | None = None,
        effective_left_context: int | None = None,
    ):
        """Masks blocks of frames.

        Args:
            input_feats: features of shape (B, D, T), any floating dtype, on any device
            input_lengths: valid frames of each utterance, (B,)
            current_frame: streaming (causal only): the first frame that has not been heard yet, in input frames, an
                int or a tensor of shape (B,): only `[min(current_frame, length) - window, min(current_frame, length))`
                may be masked. None: whole utterances are masked, window after window, the windows' phase drawn anew.
            effective_left_context: replaces `left_context_size` in this call (causal only), in encoder frames;
                -1 is unlimited, None means `left_context_size`
        Returns:
            masked_feats: the features with masked frames replaced, (B, D, T)
            masks: 1 where masked, 0 elsewhere, (B, D, T); every feature of a frame has the same value, and shares
                its memory: clone before writing into it. Both have the dtype and device of `input_feats`.
        Raises:
            ValueError: `current_frame` is no integer or not of shape (B,), `effective_left_context` is not an
                integer >= -1.
        """
        lengths = input_lengths.to(input_feats.device)
        mask, _ = self.draw(lengths, input_feats.size(2), current_frame, effective_left_context)
        mask, value = mask.unsqueeze(1), self.mask_embedding.to(device=input_feats.device, dtype=input_feats.dtype)
        masked_feats = torch.where(mask, value.view(1, -1, 1), input_feats)
        return masked_feats, mask.to(input_feats.dtype).expand_as(input_feats)

    def draw(
        self,
        lengths: Tensor,
        num_frames: int,
        current_frame: int | Tensor | None = None,
        effective_left_context: int | None = None,
    ) -> tuple[Tensor, Windows]:
        """Draws which frames are masked, as `forward` does.

        Args:
            lengths: valid frames of each utterance, (B,)
            num_frames: frames T of the features
            current_frame, effective_left_context: see `forward`
        Returns:
            mask: (B, T) booleans
            windows: those that the mask was drawn in; without `causal`, and for streaming, one for each utterance
        Raises:
            ValueError: see `forward`
        """
        begin, end, window = self._bounds(lengths, num_frames, current_frame, effective_left_context)
        if window is None or num_frames == 0:
            windows = Windows.single(begin, end, num_frames)
            (mask,) = self._blocks(begin, end, num_frames)
        else:
            # neighbouring windows take their part of two masks, so that no block goes on past an end
            windows = Windows.consecutive(end, num_frames, window, self.context_stride)
            even, odd = self._blocks(begin, end, num_frames, count=2)
            mask = even ^ ((even ^ odd) & windows.odd)
        return self._corrected(mask, begin, end, windows), windows

    def _bounds(
        self, lengths: Tensor, num_frames: int, current_frame: int | Tensor | None, left_context: int | None
    ) -> tuple[Tensor, Tensor, int | None]:
        """Frames `begin <= t < end` may be masked, both (B, 1), in windows of so many frames; None is one window."""
        end = lengths.to(torch.long).clamp(0, num_frames).unsqueeze(1)
        begin = torch.zeros_like(end)
        if not self.causal:
            return begin, end, None
        window = self._window_size(left_context)
        if current_frame is None and window > 0:
            return begin, end, window
        if current_frame is not None:
            end = torch.minimum(end, frames_heard(current_frame, end))
        if window >= 0:
            begin = (end - window).clamp(min=0)
        return begin, end, None

    def _corrected(self, mask: Tensor, begin: Tensor, end: Tensor, windows: Windows) -> Tensor:
        """The mask with enough left unmasked in each window, and an encoder step masked in each utterance."""
        if mask.size(1) == 0:
            return mask
        # all of a window where it is out of range, as in NeMo
        max_masked = windows.max_masked(self.max_mask_ratio if 0 < self.max_mask_ratio <= 1 else 1.0)
        if self.causal:
            mask = limit_share(mask, windows, max_masked)
        if self.mask_prob != 0:
            mask = ensure_one_step(mask, begin, end, windows, self.context_stride, max_masked)
        return mask

    def _blocks(self, begin: Tensor, end: Tensor, num_frames: int, count: int = 1) -> list[Tensor]:
        """One or two masks of blocks in `[begin, end)`, without regard to windows; none where it is too short for one.

        Two are for a mask that takes each frame from one of them: their blocks may depend on each other.
        """
        long_enough = (end - begin).float() * self.max_mask_ratio > self.block_size
        if not self.allow_overlap:
            options = (begin, end, num_frames, self.block_size, self.mask_prob)
            return [separate_blocks(*options) & long_enough for _ in range(count)]
        may_start = block_starts(begin, end, num_frames, self.block_size) & long_enough
        draws = torch.rand(may_start.shape, dtype=torch.float32, device=may_start.device)
        starts = [draws < self.mask_prob] if count == 1 else [draws < self.mask_prob, draws >= 1 - self.mask_prob]
        return [overlapping_blocks(start & may_start, self.block_size) for start in starts]

    def _window_size(self, left_context: int | None) -> int:
        """The left context in input frames; -1 is unlimited."""
        if left_context is None:
            left_context = self.left_context_size
        check_integer("effective_left_context", left_context, minimum=-1)
        if left_context == 0 and not torch.compiler.is_compiling():  # a logger would break the graph
            logging.warning("The left context of the masking is 0 frames: nothing is masked.", mode=logging_mode.ONCE)
        return left_context * self.context_stride if left_context >= 0 else -1


class ConvFeatureMaksingWrapper(base.ConvFeatureMaksingWrapper):
    """Masks what the encoder's subsampling returns (`mask_position: post_conv`); takes the place of `pre_encode`.

    The encoder calls it with features and lengths only, so the streaming parameters are handed over before, with
    `set_masking_enabled`. The name is spelled as NeMo spells it.
    """

    # what `set_masking_enabled` was told, and the lengths that `forward` has returned
    current_frame = effective_left_context = curr_lengths = None

    def get_sampling_frames(self):
        """The subsampling's, for the encoder's streaming parameters."""
        return self.pre_encode.get_sampling_frames()

    def get_streaming_cache_size(self):
        """The subsampling's, for the encoder's streaming parameters."""
        return self.pre_encode.get_streaming_cache_size()

    def get_current_lengths(self):
        """Valid frames of what `get_current_feat()` returns, (B,)."""
        return self.curr_lengths

    def set_masking_enabled(
        self,
        apply_mask: bool,
        current_frame: int | Tensor | None = None,
        effective_left_context: int | None = None,
    ):
        """Says what the coming calls of `forward` do.

        Args:
            apply_mask: whether to mask
            current_frame, effective_left_context: see `RandomBlockMasking.forward`; both in encoder frames here
        """
        super().set_masking_enabled(apply_mask)
        self.current_frame = current_frame
        self.effective_left_context = effective_left_context

    def forward(self, x, lengths):
        """Subsamples, then masks.

        Args:
            x: features of shape (B, T, D)
            lengths: valid frames, (B,)
        Returns:
            subsampled and, if enabled, masked features (B, T', D'), and their lengths (B,). The mask of shape
            (B, D', T') is at `get_current_mask()`, the unmasked features (B, T', D') at `get_current_feat()`.
        """
        feats, lengths = self.pre_encode(x=x, lengths=lengths)
        self.curr_feat, self.curr_lengths = feats.detach(), lengths
        if not self.apply_mask:
            self.curr_mask = torch.zeros_like(feats.transpose(1, 2))
            return feats, lengths
        masked_feats, self.curr_mask = mask_features(
            self.masking, feats.transpose(1, 2), lengths, self.current_frame, self.effective_left_context
        )
        # as in NeMo the subsampling is not trained here: it makes the targets too
        return masked_feats.transpose(1, 2).detach(), lengths


def frames_heard(current_frame: int | Tensor, like: Tensor) -> Tensor:
    """`current_frame`, an int or (B,), as a tensor that fits `like` of shape (B, 1); a ValueError if it is neither."""
    if not isinstance(current_frame, Tensor):
        return torch.full_like(like, check_integer("current_frame", current_frame, minimum=0))
    if current_frame.is_floating_point() or current_frame.dtype in (torch.bool, torch.complex64, torch.complex128):
        raise ValueError(f"current_frame has dtype {current_frame.dtype}: must be an integer type")
    if current_frame.dim() > 1 or current_frame.numel() not in (1, like.size(0)):
        raise ValueError(f"current_frame has shape {tuple(current_frame.shape)}: must be ({like.size(0)},)")
    return current_frame.to(device=like.device, dtype=like.dtype).clamp(min=0).reshape(-1, 1).expand_as(like)


def mask_features(masking, feats: Tensor, lengths: Tensor, current_frame=None, left_context: int | None = None):
    """Calls a masking module, with the streaming parameters if its `forward` knows them (a fork's own may not)."""
    parameters = inspect.signature(masking.forward).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    streaming = {"current_frame": current_frame, "effective_left_context": left_context}
    known = {name: value for name, value in streaming.items() if takes_any or name in parameters}
    return masking(input_feats=feats, input_lengths=lengths, **known)


def checked_masking_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The options that NeMo has too, as NeMo takes them, and what is wrong with those that are out of range.

    A fraction of a frame is cut off a block. A negative `mask_prob` masks as 0 does; one above 1 masks more blocks, or
    all frames where they may overlap. A `max_mask_ratio` that is no number is of no use to NeMo either.

    Args:
        options: the arguments of `RandomBlockMasking` by name, defaults included

    Raises:
        ValueError: one is out of its range. NeMo checks none of its own. So where none of ours is set (`causal`,
            `left_context_size`, `context_stride`), only that is refused with which no mask can be drawn: a `mask_prob`
            that is no finite number, a `block_size` that is no finite number above 0.
    """
    check_integer("left_context_size", options["left_context_size"], minimum=-1)
    check_integer("context_stride", options["context_stride"], minimum=1)
    is_ours = bool(options["causal"]) or options["left_context_size"] != -1 or options["context_stride"] != 1
    prob, size, ratio = (options[name] for name in ("mask_prob", "block_size", "max_mask_ratio"))
    problems = []
    for option, is_usable, check in (
        ("mask_prob", _is_finite(prob), partial(check_number, low=0, high=1)),
        ("block_size", _is_finite(size) and size > 0, partial(check_integer, minimum=1)),
        ("max_mask_ratio", True, partial(check_number, low=0, high=1, above_low=True)),
    ):
        try:
            check(option, options[option])
        except ValueError as error:
            if is_ours or not is_usable:
                raise
            problems.append(str(error))
    ratio = float(ratio) if _is_finite(ratio) else 0.8
    return {"mask_prob": max(0.0, float(prob)), "block_size": max(1, int(size)), "max_mask_ratio": ratio}, problems


def _is_finite(value: Any) -> bool:
    return isinstance(value, numbers.Real) and math.isfinite(value)
