# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The table of our options: what a config may say that plain NeMo does not know.

Checks, `nemo-streaming-ssl strip` and the tests of docs/configuration.md read it. It is data alone and imports nothing
of NeMo, so that the command line has it without NeMo.
"""

from typing import Any, NamedTuple


class Integers(NamedTuple):
    """Integers from `minimum` on."""

    minimum: int
    or_null: bool = False


class Option(NamedTuple):
    """An option of ours.

    Args:
        values: the choices, or `Integers`; a text says what the class that takes the option checks by itself
        unit: of the values
        default: where the key is left out
        lost: what is lost in plain NeMo where the option is set; "" if that is nothing, or said with another option
    """

    values: tuple[Any, ...] | Integers | str
    unit: str = ""
    default: Any = None
    lost: str = ""


BOOL = (True, False)
SAME_OUTPUTS = "the encoder has the same outputs"
CHECK_AUDIO_FILES = {"check_audio_files": Option(Integers(-1), "files per manifest", 1000)}

# By section of the config, "" being the config itself, and key.
OPTIONS: dict[str, dict[str, Option]] = {
    "model": {
        "streaming": Option((*BOOL, None), default=False, lost="plain NeMo does not check it"),
        "allow_lookahead": Option((*BOOL, None), default=False),
        "target_normalize": Option(
            ("per_feature", None), lost=f"plain NeMo makes other targets in training; {SAME_OUTPUTS}"
        ),
        "objective": Option(
            ("masked_tokens", "next_tokens"),
            default="masked_tokens",
            lost="plain NeMo predicts masked tokens; the decoder keeps the heads of the first of the next tokens; "
            + SAME_OUTPUTS,
        ),
        "next_tokens": Option("block"),
        "masked_only_decoding": Option(BOOL, default=True, lost="speed"),
        "hierarchical_context": Option("block"),
        "curriculum_context": Option("block", lost="plain NeMo trains with the same contexts at all steps"),
        "seed": Option(
            Integers(0, or_null=True),
            lost="plain NeMo draws masks and the order of the data anew when a run is resumed",
        ),
        "on_bad_audio": Option(
            ("raise", "skip", None), lost="plain NeMo stops at audio that it cannot read, and trains on NaN samples"
        ),
        "on_nonfinite": Option(
            ("raise", "skip", None), lost="plain NeMo makes every step, also one whose loss is NaN"
        ),
    },
    "model.next_tokens": {
        "steps": Option(Integers(1), "tokens", 4),
        "first": Option(Integers(0, or_null=True), "tokens"),
    },
    "model.hierarchical_context": {
        "enabled": Option(BOOL, default=True),
        "interpolation": Option(("step", "linear"), default="step"),
        "schedule": Option("list of `[first layer, [left, right]]`"),
    },
    "model.curriculum_context": {
        "enabled": Option(BOOL, default=True),
        "start_context": Option(Integers(1), "encoder frames"),
        "end_context": Option(Integers(1), "encoder frames"),
        "warmup_steps": Option(Integers(0), "optimizer steps"),
        "every_n_steps": Option(Integers(1), "optimizer steps", 1),
    },
    "model.train_ds": CHECK_AUDIO_FILES,
    "model.validation_ds": CHECK_AUDIO_FILES,
    "model.test_ds": CHECK_AUDIO_FILES,
    "model.encoder": {
        "hierarchical_context": Option("block"),
        "context_cap": Option("`[left, right]`, encoder frames, or null"),
        "banded_attention": Option(
            (None, "auto", "always", "never"), lost="speed; outputs are the same within rounding"
        ),
    },
    "model.masking": {
        "causal": Option("bool", default=False, lost=f"plain NeMo draws other masks in training; {SAME_OUTPUTS}"),
        "left_context_size": Option(Integers(-1), "encoder frames", -1),
        "context_stride": Option(
            Integers(1), "feature frames per encoder frame", "${model.encoder.subsampling_factor}"
        ),
    },
    "model.loss": {
        "length_aware_negatives": Option(
            "bool", default=False, lost=f"plain NeMo draws padding as negatives in training; {SAME_OUTPUTS}"
        ),
    },
    "model.tokenizer": {
        "vocab_size": Option(Integers(1), "pieces"),
        "spe_type": Option(("bpe", "unigram"), default="bpe"),
    },
    "pretrained": {"path": Option("path"), "other_contexts": Option((*BOOL, None))},
    "": {"freeze_encoder_steps": Option(Integers(0, or_null=True), "optimizer steps")},
}

# The classes that take the options of a section as arguments; the other sections are read by models.
ARGUMENTS = {
    "ConformerEncoder": "model.encoder",
    "RandomBlockMasking": "model.masking",
    "ContrastiveLoss": "model.loss",
}
