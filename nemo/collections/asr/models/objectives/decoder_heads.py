# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The decoder's heads: as many as an objective asks for, made anew where a checkpoint has been trained for another."""

from collections.abc import Iterable, Mapping
from copy import copy
from inspect import getattr_static
from typing import Any

from omegaconf import DictConfig
from torch import Tensor, nn
from torch.optim import Optimizer

from nemo.collections.asr.losses.ssl_losses.mlm import MLMLoss, MultiMLMLoss, mlm_loss_of
from nemo.collections.asr.modules.ssl_modules.multi_softmax_decoder import MultiSoftmaxDecoder
from nemo.core import Serialization
from nemo.utils import logging

StateDict = dict[str, Tensor]


def decoder_with_heads(decoder: nn.Module, loss: nn.Module, cfg: DictConfig, tokens_per_step: int) -> nn.Module:
    """A decoder of `tokens_per_step` times as many heads; the one that is there for one token a step.

    Args:
        decoder, loss: what the model has
        cfg: the decoder's config, which is left as it is

    Raises:
        ValueError: the decoder is a fork's own, or the loss or its `forward` is: nothing is known about them
    """
    if not isinstance(decoder, MultiSoftmaxDecoder):
        raise ValueError(f"model.decoder={type(decoder).__name__}: must be a MultiSoftmaxDecoder for next_tokens")
    if not _is_mean_over_tokens(loss):
        raise ValueError(
            f"model.loss={type(loss).__name__}: must be MLMLoss or MultiMLMLoss, with their `forward`, for next_tokens"
        )
    if tokens_per_step == 1:
        return decoder
    cfg = cfg.copy()
    cfg.num_decoders = decoder.num_decoders * tokens_per_step
    return Serialization.from_config_dict(cfg)


def _is_mean_over_tokens(loss: nn.Module) -> bool:
    """Whether a loss is known to be what is computed in its place; not if a subclass has its own `forward`."""
    forward, *known = (getattr_static(owner, "forward", None) for owner in (loss, MLMLoss, MultiMLMLoss))
    return mlm_loss_of(loss) is not None and forward in known


def with_fresh_heads(decoder: nn.Module, state_dict: StateDict, objective: str) -> StateDict:
    """The weights of a checkpoint; those of this decoder in place of the decoder's, if it has other heads.

    Args:
        decoder: the model's attribute of that name
        state_dict: of the checkpoint, which is left as it is
        objective: its name, for the warning
    """
    tokens = getattr(decoder, "num_classes", None)
    fresh = {f"decoder.{name}": value for name, value in decoder.state_dict().items()}
    others = [name for name, value in fresh.items() if _are_other_heads(state_dict.get(name), value, tokens)]
    if not others:
        return state_dict
    given, here = (weights[others[0]].shape[0] // tokens for weights in (state_dict, fresh))
    logging.warning(
        f"{others[0]}: the checkpoint's decoder has {given} heads, model.objective={objective} has {here}. It is not "
        "loaded: the decoder starts anew. The encoder is loaded."
    )
    state_dict = copy(state_dict)  # with PyTorch's `_metadata`
    state_dict.update({name: value for name, value in fresh.items() if name in state_dict})
    return state_dict


def _are_other_heads(value: Any, own: Tensor, tokens: int | None) -> bool:
    """Whether a tensor of a checkpoint has the tokens of `own`, for another number of heads."""
    if not isinstance(value, Tensor) or not tokens or value.dim() == 0:
        return False
    same_tokens = value.shape[0] % tokens == own.shape[0] % tokens == 0
    return same_tokens and value.shape[0] != own.shape[0] and value.shape[1:] == own.shape[1:]


def forget_moments(optimizer: Optimizer, state_dict: Mapping, of: Iterable[nn.Parameter]) -> Mapping:
    """A state of an optimizer without what it says of the parameters `of`; the learning rate and all else stay.

    Args:
        optimizer: it holds as many parameters, in the same order, as the one that was saved
        state_dict: of the one that was saved; where it holds more or fewer parameters, PyTorch says so
    """
    forgotten = {id(parameter) for parameter in of}
    own = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    saved = [index for group in state_dict["param_groups"] for index in group["params"]]
    indices = {index for parameter, index in zip(own, saved) if id(parameter) in forgotten}
    return {**state_dict, "state": {i: state for i, state in state_dict["state"].items() if i not in indices}}
