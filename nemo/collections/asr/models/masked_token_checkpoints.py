# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""What files of a model that predicts masked tokens have in them, and how files with other targets are read."""

from typing import Mapping, Optional

from omegaconf import DictConfig, open_dict
from torch import Tensor

from nemo.collections.asr.parts.contexts import SavesContexts
from nemo.utils import logging

PROJECTION = "quantizer.proj.weight"


class MaskedTokenCheckpoints(SavesContexts):
    """Saving and loading of a model that predicts masked tokens; a base class of it, before NeMo's."""

    def write_in_force(self, cfg: DictConfig):
        """Also `masked_only_decoding`, which changes the speed only: at its default it is left out."""
        super().write_in_force(cfg)
        with open_dict(cfg):
            cfg.pop("masked_only_decoding", None)
            if not self.masked_only_decoding:
                cfg.masked_only_decoding = False

    def load_state_dict(self, state_dict: Mapping[str, Tensor], *args, **kwargs):
        """PyTorch's, also for targets of `mask_position: post_conv` that are made of other groups of frames.

        Plain NeMo's are made of `subsampling_factor` encoder frames each, ours of one. The quantizer becomes the one
        that the weights belong to, so that a run goes on with its targets.
        """
        time_steps = self._time_steps_of(state_dict.get(PROJECTION))
        if time_steps is not None:
            self._combine_time_steps(time_steps)
        return super().load_state_dict(state_dict, *args, **kwargs)

    def _time_steps_of(self, projection: Optional[Tensor]) -> Optional[int]:
        """Encoder frames per token with these weights, if the quantizer is made for another number."""
        if projection is None or self.pre_encoder is None or not hasattr(self.quantizer, "combine_time_steps"):
            return None
        time_steps, rest = divmod(projection.shape[1], self.cfg.encoder.d_model)
        known = time_steps in (1, self._subsampling_factor()) and rest == 0
        return time_steps if known and time_steps != self.quantizer.combine_time_steps else None

    def _combine_time_steps(self, time_steps: int):
        logging.warning(
            f"quantizer.combine_time_steps={self.quantizer.combine_time_steps}: the weights that are loaded were made "
            f"with {time_steps} encoder frames per token (mask_position=post_conv), and so are the targets from now on"
        )
        with open_dict(self.cfg):
            self.cfg.quantizer.combine_time_steps = time_steps
        device = self.quantizer.proj.weight.device
        self.quantizer = self.from_config_dict(self.cfg.quantizer).to(device)
