# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What `nemo-streaming-ssl strip` makes of the decoder of a model that predicts next tokens.

Such a decoder has heads for each predicted token of each codebook, offsets outermost; plain NeMo's has one head for
each codebook.
"""

import pickle
import posixpath
import tarfile
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from nemo_streaming_ssl.inputs import InputError

if TYPE_CHECKING:  # most files need no torch to be stripped
    from torch import Tensor

WEIGHTS = "model_weights.ckpt"
NEXT_TOKENS = "next_tokens"
LAYER = "decoder.decoder_layers.0."  # its only one: Conv1d whose outputs are (classes, heads), heads last


def has_other_heads(cfg: dict[str, Any]) -> bool:
    """Whether a model's config, not stripped yet, asks for a decoder that plain NeMo would make with fewer heads."""
    return "masking" in cfg and cfg.get("objective") == NEXT_TOKENS


def cut_weights(model: Path, decoder: dict[str, Any], folder: Path) -> IO[bytes] | None:
    """The weights of a `.nemo` file with the heads of the first predicted token only.

    Args:
        model: the file
        decoder: the decoder's section of its config: `num_classes` and `num_decoders`, the heads that are kept
        folder: where the returned file takes its space; it has no name there

    Returns:
        a file to read from its beginning, None if there are no other heads

    Raises:
        InputError: the weights are not there, cannot be read, or are those of another decoder.
    """
    import torch

    try:
        state = _read_weights(model)
        heads = {name: state[name] for name in (f"{LAYER}weight", f"{LAYER}bias") if name in state}
        cut = {name: first_heads(value, decoder["num_classes"], _kept(decoder)) for name, value in heads.items()}
        if not cut:
            raise ValueError(f"has no {LAYER}weight")
    except (ValueError, KeyError, RuntimeError, pickle.UnpicklingError) as error:
        raise InputError(f"{model}: {WEIGHTS}", error) from error
    if all(value is heads[name] for name, value in cut.items()):
        return None
    state.update(cut)
    file = tempfile.TemporaryFile(dir=folder)
    torch.save(state, file)
    file.seek(0)
    return file


def first_heads(value: "Tensor", classes: int, kept: int) -> "Tensor":
    """The rows (classes * heads, ...) of the first `kept` heads, (classes * kept, ...); `value` if it has no more.

    Raises:
        ValueError: it has fewer heads, or rows of other classes.
    """
    heads, rest = divmod(len(value), classes)
    if rest or heads % kept or heads == 0:
        raise ValueError(f"{LAYER}* has {len(value)} rows; must have a multiple of {classes} * {kept}")
    if heads == kept:
        return value
    return value.unflatten(0, (classes, heads))[:, :kept].flatten(0, 1).clone()


def _kept(decoder: dict[str, Any]) -> int:
    return decoder.get("num_decoders", 1)


def _read_weights(model: Path) -> dict[str, "Tensor"]:
    import torch

    with tarfile.open(model) as archive:
        for member in archive:
            if posixpath.normpath(member.name) == WEIGHTS and member.isfile():
                content: Any = archive.extractfile(member)
                return torch.load(content, map_location="cpu", weights_only=True)
    raise ValueError("is not there")
