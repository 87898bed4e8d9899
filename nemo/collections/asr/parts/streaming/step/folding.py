# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Factors and norms put into weights, so that a graph takes few operators."""

import copy
from typing import Any

import torch
from torch import Tensor, nn


class _Scaled(nn.Module):
    """A module whose output is `scale` times as large."""

    def __init__(self, module: nn.Module, scale: float):
        super().__init__()
        self.module, self.scale = module, scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.module(x)


def scaled(linear: Any, scale: float) -> nn.Module:
    """A linear layer whose output is `scale` times as large; in its weights, unless it does more than `nn.Linear`."""
    if type(linear).forward is not nn.Linear.forward or linear._forward_hooks or linear._forward_pre_hooks:
        return _Scaled(linear, scale)
    made = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None)
    made.weight = nn.Parameter(linear.weight * scale)
    if linear.bias is not None:
        made.bias = nn.Parameter(linear.bias * scale)
    return made


def affine(norm: nn.Module, channels: int) -> tuple[Tensor, Tensor]:
    """Factor and summand of each channel, (D,) each, that a norm with fixed statistics is."""
    norm = copy.deepcopy(norm).double()
    zeros = torch.zeros(1, channels, 1, dtype=torch.float64, device=next(norm.parameters()).device)
    shift = norm(zeros)
    scale = norm(zeros + 1) - shift
    return scale.flatten().float(), shift.flatten().float()
