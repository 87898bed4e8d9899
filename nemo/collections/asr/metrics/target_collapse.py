# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Notices early in the training that the targets are nearly all the same, so that the encoder can learn nothing."""

from collections.abc import Mapping

from nemo.collections.asr.metrics.masked_tokens import MaskedTokenMetrics
from nemo.utils import logging

# Targets that use fewer codes than this share of the codebook after so many steps teach nothing.
COLLAPSE_SHARE = 0.01
COLLAPSE_STEPS = 100


class CollapseWarning:
    """Warns, once, when hardly any code is used as a target although there have been targets enough."""

    def __init__(self):
        self.was_given = False

    def check(self, metrics: MaskedTokenMetrics | None, step: int, cfg: Mapping) -> None:
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
        logging.warning(
            f"The targets have collapsed: after {step} steps their perplexity is {perplexity:.1f}, below "
            f"{COLLAPSE_SHARE:.0%} of the {metrics.num_classes} codes. The loss will look good and the encoder learn "
            f"little. {likely_cause(cfg)}"
        )

    def is_due(self, step: int) -> bool:
        """Whether this is the step at which the targets are looked at first."""
        return step == COLLAPSE_STEPS


def likely_cause(cfg: Mapping) -> str:
    """What to look at in a model whose targets have collapsed."""
    if cfg.get("target_normalize") is None and cfg["preprocessor"].get("normalize", "per_feature") in (None, "NA"):
        return "The quantizer's input is not normalised: set model.target_normalize=per_feature."
    return "Look at the audio (silence? one level?) and at model.quantizer (code_dim, num_classes)."
