# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Notices early in the training that the targets are nearly all the same, so that the encoder can learn nothing."""

from collections.abc import Mapping

from nemo.collections.asr.metrics.token_predictions import TokenPredictionMetrics
from nemo.utils import logging

# Targets that use fewer codes than this share of the codebook after so many steps teach nothing.
COLLAPSE_SHARE = 0.01
COLLAPSE_STEPS = 100


class CollapseWarning:
    """Warns, once, when hardly any code is used as a target although there have been targets enough."""

    was_given = False

    def check(self, metrics: TokenPredictionMetrics | None, step: int, cfg: Mapping) -> None:
        """Gives the warning, once, if hardly any code is used.

        Args:
            metrics: counts of the training so far; None if the tokens are not counted
            step: optimizer steps so far
            cfg: the model's config
        """
        if metrics is None or self.was_given or not metrics.update_called or step < COLLAPSE_STEPS:
            return
        perplexity = float(metrics.compute()["perplexity"])
        if perplexity >= COLLAPSE_SHARE * metrics.num_classes:
            return
        self.was_given = True
        cause = "Look at the audio (silence? one level?) and at model.quantizer (code_dim, num_classes)."
        if cfg.get("target_normalize") is None and cfg["preprocessor"].get("normalize", "per_feature") in (None, "NA"):
            cause = "The quantizer's input is not normalised: set model.target_normalize=per_feature."
        logging.warning(
            f"The targets have collapsed: after {step} steps their perplexity is {perplexity:.1f}, below "
            f"{COLLAPSE_SHARE:.0%} of the {metrics.num_classes} codes. The loss will look good and the encoder learn "
            f"little. {cause}"
        )
