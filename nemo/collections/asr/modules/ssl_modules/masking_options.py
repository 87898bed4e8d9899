# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Checks of the masking's arguments, and what NeMo makes of the ones that it does not check."""

import math
import numbers
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nemo.utils import logging
from nemo.utils.option_checks import check_integer, check_number


def check_masking_options(options: Mapping[str, Any]) -> None:
    """Raises a ValueError that names the first option of `RandomBlockMasking` that is out of its range.

    NeMo checks none of its own. So where none of ours is set (`causal`, `left_context_size`, `context_stride`), only
    that is refused with which no mask can be drawn: a `mask_prob` that is no finite number, a `block_size` that is no
    finite number above 0.

    Args:
        options: the arguments of the class by name, defaults included
    """
    check_integer("left_context_size", options["left_context_size"], minimum=-1)
    check_integer("context_stride", options["context_stride"], minimum=1)
    is_ours = bool(options["causal"]) or options["left_context_size"] != -1 or options["context_stride"] != 1
    block_size = options["block_size"]
    usable = {
        "mask_prob": _is_finite(options["mask_prob"]),
        "block_size": _is_finite(block_size) and block_size > 0,
        "max_mask_ratio": True,
    }
    for option, problem in _out_of_range(options).items():
        if is_ours or not usable[option]:
            raise ValueError(problem)


def as_nemo_takes_them(options: Mapping[str, Any]) -> dict[str, Any]:
    """The checked options that NeMo has too, as NeMo takes them, with one warning about those that are out of range.

    A fraction of a frame is cut off a block. A negative `mask_prob` masks as 0 does; one above 1 masks more blocks, or
    all frames where they may overlap. A `max_mask_ratio` that is no number is of no use to NeMo either.
    """
    problems = _out_of_range(options)
    if problems:
        logging.warning(f"Options of the masking are used as NeMo uses them, but {'; '.join(problems.values())}.")
    ratio = options["max_mask_ratio"]
    return {
        "mask_prob": max(0.0, float(options["mask_prob"])),
        "block_size": max(1, int(options["block_size"])),
        "max_mask_ratio": float(ratio) if _is_finite(ratio) else 0.8,
    }


def frames_heard(current_frame: int | Tensor, like: Tensor) -> Tensor:
    """`current_frame`, an int or (B,), as a tensor that fits `like` of shape (B, 1); a ValueError if it is neither."""
    if not isinstance(current_frame, Tensor):
        return torch.full_like(like, check_integer("current_frame", current_frame, minimum=0))
    if current_frame.is_floating_point() or current_frame.dtype in (torch.bool, torch.complex64, torch.complex128):
        raise ValueError(f"current_frame has dtype {current_frame.dtype}: must be an integer type")
    if current_frame.dim() > 1 or current_frame.numel() not in (1, like.size(0)):
        raise ValueError(f"current_frame has shape {tuple(current_frame.shape)}: must be ({like.size(0)},)")
    return current_frame.to(device=like.device, dtype=like.dtype).clamp(min=0).reshape(-1, 1).expand_as(like)


def _out_of_range(options: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with each of NeMo's options that is out of its range, by name."""
    checks = {
        "mask_prob": lambda name: check_number(name, options[name], 0, 1),
        "block_size": lambda name: check_integer(name, options[name], minimum=1),
        "max_mask_ratio": lambda name: check_number(name, options[name], 0, 1, above_low=True),
    }
    problems = {}
    for name, check in checks.items():
        try:
            check(name)
        except ValueError as error:
            problems[name] = str(error)
    return problems


def _is_finite(value: Any) -> bool:
    return isinstance(value, numbers.Real) and math.isfinite(value)
