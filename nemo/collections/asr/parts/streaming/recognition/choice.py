# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which of a model's decoders a stream goes through, and whether it can."""

from typing import Any

from nemo.collections.asr.parts.streaming.recognition.ctc import GREEDY, GreedyCtc, SearchedCtc
from nemo.collections.asr.parts.streaming.recognition.token_decoder import TokenDecoder
from nemo.collections.asr.parts.streaming.recognition.transducer import GreedyTransducer
from nemo.collections.asr.parts.streaming.requirements import require_decoder
from nemo.utils.option_checks import check_choice

CTC, TRANSDUCER = DECODERS = ("ctc", "rnnt")


def token_decoder(model: Any, decoder: str | None) -> TokenDecoder:
    """The decoder of a CTC, RNN-T or hybrid model.

    Args:
        model: any of these
        decoder: `ctc` or `rnnt`; None: the only one, or the one that a hybrid model has in use (`cur_decoder`)

    Raises:
        ValueError: the model has no such decoder, or its decoding cannot go on from piece to piece
    """
    there = [name for name in DECODERS if _decoding(model, name) is not None]
    if not there:
        raise ValueError(
            f"{type(model).__name__} has no CTC or RNN-T decoding: text needs a model that was fine-tuned"
        )
    chosen = check_choice("decoder", decoder or getattr(model, "cur_decoder", there[0]), there)
    decoding = _decoding(model, chosen)
    if chosen == TRANSDUCER:
        require_label_looping(decoding)
        return GreedyTransducer(decoding)
    kind = GreedyCtc if decoding.cfg.strategy in GREEDY else SearchedCtc
    return kind(require_decoder(model), decoding)


def _decoding(model: Any, name: str) -> Any:
    """A model's decoding of this kind, or None."""
    method = "ctc_decoder_predictions_tensor" if name == CTC else "rnnt_decoder_predictions_tensor"
    found = (getattr(model, attribute, None) for attribute in ("ctc_decoding", "decoding"))
    return next((decoding for decoding in found if hasattr(decoding, method)), None)


def require_label_looping(decoding: Any) -> None:
    """Raises a ValueError unless an RNN-T decoding is the greedy one that can go on from a state."""
    if getattr(decoding.decoding, "decoding_computer", None) is None:
        raise ValueError(
            f"decoding.strategy={decoding.cfg.strategy}: streams need greedy_batch with greedy.loop_labels=true and a "
            "decoder with a state for each label; model.change_decoding_strategy(...) sets it"
        )
