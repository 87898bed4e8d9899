# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What files of a model that predicts tokens have in them, and how files with other targets or heads are read."""

from collections.abc import Mapping
from copy import copy
from typing import Any

from omegaconf import DictConfig, open_dict
from torch import Tensor
from torch.optim import Optimizer

from nemo.collections.asr.parts.contexts import SavesContexts
from nemo.utils import logging

PROJECTION = "quantizer.proj.weight"


class TokenPredictionCheckpoints(SavesContexts):
    """Saving and loading of a model that predicts tokens; a base class of it, before NeMo's."""

    _decoder_starts_anew = False  # the weights that were loaded last have other heads

    def write_in_force(self, cfg: DictConfig):
        """Also `masked_only_decoding`, which changes the speed only: at its default it is left out."""
        super().write_in_force(cfg)
        with open_dict(cfg):
            cfg.pop("masked_only_decoding", None)
            if not self.masked_only_decoding:
                cfg.masked_only_decoding = False

    def load_state_dict(self, state_dict: dict[str, Tensor], *args, **kwargs):
        """PyTorch's, also where `mask_position: post_conv` makes a token of other encoder frames than the weights do.

        Plain NeMo makes one of `subsampling_factor` encoder frames, so that targets are eight times too few. Here it
        is one, as in files of ours; a config that has not been through a constructor of ours may say otherwise.

        A decoder with other heads, of another objective, is not loaded.
        """
        given, state_dict = state_dict, self._with_fresh_heads(state_dict)
        self._decoder_starts_anew = state_dict is not given
        frames = self._frames_per_token(state_dict.get(PROJECTION))
        if frames is not None and frames != self.quantizer.combine_time_steps:
            state_dict = self._with_one_frame_per_token(state_dict, frames)
        return super().load_state_dict(state_dict, *args, **kwargs)

    def setup_optimization(self, *args, **kwargs):
        """NeMo's; the optimizer can go on from a checkpoint whose decoder has other heads."""
        optimization = super().setup_optimization(*args, **kwargs)
        if self._optimizer is not None:
            self._optimizer.register_load_state_dict_pre_hook(self._without_moments_of_other_heads)
        return optimization

    def _with_fresh_heads(self, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights of a checkpoint, which is left as it is; this decoder's, if the one in it has other heads."""
        tokens = getattr(self.decoder, "num_classes", None)
        fresh = {f"decoder.{name}": value for name, value in self.decoder.state_dict().items()}
        others = [name for name, value in fresh.items() if _are_other_heads(state_dict.get(name), value, tokens)]
        if not others:
            return state_dict
        given, here = (weights[others[0]].shape[0] // tokens for weights in (state_dict, fresh))
        logging.warning(
            f"{others[0]}: the checkpoint's decoder has {given} heads, model.objective={self.objective.name} has "
            f"{here}. It is not loaded: the decoder starts anew. The encoder is loaded."
        )
        state_dict = copy(state_dict)  # with PyTorch's `_metadata`
        state_dict.update({name: value for name, value in fresh.items() if name in state_dict})
        return state_dict

    def _without_moments_of_other_heads(self, optimizer: Optimizer, state_dict: Mapping) -> Mapping:
        """The state that goes with the weights that were loaded last, by whatever optimizer it was made.

        The learning rate and all else stay. PyTorch says so where more or fewer parameters were saved.
        """
        if not self._decoder_starts_anew:
            return state_dict
        forgotten = {id(parameter) for parameter in self.decoder.parameters()}
        own = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        saved = [index for group in state_dict["param_groups"] for index in group["params"]]
        indices = {index for parameter, index in zip(own, saved) if id(parameter) in forgotten}
        return {**state_dict, "state": {i: state for i, state in state_dict["state"].items() if i not in indices}}

    def _frames_per_token(self, projection: Tensor | None) -> int | None:
        """Encoder frames per token with these weights; None if there is nothing to choose, or they are of no model."""
        if projection is None or self.pre_encoder is None or not hasattr(self.quantizer, "combine_time_steps"):
            return None
        frames, rest = divmod(projection.shape[1], self.cfg.encoder.d_model)
        return frames if rest == 0 and frames in (1, self._subsampling_factor()) else None

    def _with_one_frame_per_token(self, state_dict: dict[str, Tensor], frames: int) -> dict[str, Tensor]:
        """Weights for a quantizer of one encoder frame per token, which the model has from now on."""
        if self.quantizer.combine_time_steps != 1:
            with open_dict(self.cfg):
                self.cfg.quantizer.combine_time_steps = 1
            device = self.quantizer.proj.weight.device
            self.quantizer = self.from_config_dict(self.cfg.quantizer).to(device)
        if frames == 1:
            return state_dict
        logging.warning(
            f"{PROJECTION} was made by plain NeMo for {frames} encoder frames per token, {frames} times too few "
            "targets for mask_position=post_conv. It is not loaded: the targets are new ones, of one frame each."
        )
        state_dict = copy(state_dict)  # with PyTorch's `_metadata`
        state_dict[PROJECTION] = self.quantizer.proj.weight
        return state_dict


def _are_other_heads(value: Any, own: Tensor, tokens: int | None) -> bool:
    """Whether a tensor of a checkpoint has the tokens of `own`, for another number of heads."""
    if not isinstance(value, Tensor) or not tokens or value.dim() == 0:
        return False
    same_tokens = value.shape[0] % tokens == own.shape[0] % tokens == 0
    return same_tokens and value.shape[0] != own.shape[0] and value.shape[1:] == own.shape[1:]
