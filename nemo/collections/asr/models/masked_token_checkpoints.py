# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What files of a model that predicts masked tokens have in them, and how files with other targets are read."""

from collections.abc import Mapping
from copy import copy

from omegaconf import DictConfig, open_dict
from torch import Tensor
from torch.optim import Optimizer

from nemo.collections.asr.models.objectives.decoder_heads import forget_moments, with_fresh_heads
from nemo.collections.asr.parts.contexts import SavesContexts
from nemo.utils import logging

PROJECTION = "quantizer.proj.weight"


class MaskedTokenCheckpoints(SavesContexts):
    """Saving and loading of a model that predicts masked tokens; a base class of it, before NeMo's."""

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
        given, state_dict = state_dict, with_fresh_heads(self.decoder, state_dict, self.objective.name)
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

    def _without_moments_of_other_heads(self, optimizer: Optimizer, state_dict: Mapping) -> Mapping:
        """The state that goes with the weights that were loaded last, by whatever optimizer it was made."""
        if not self._decoder_starts_anew:
            return state_dict
        return forget_moments(optimizer, state_dict, of=self.decoder.parameters())

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
