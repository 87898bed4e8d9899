# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a recogniser writes: characters, or the pieces of a tokenizer."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from nemo.collections.asr.parts.finetuning.inheritance import is_transducer
from nemo.collections.asr.parts.finetuning.tokenizer import NEEDED, check_folder, trained_tokenizer
from nemo.collections.asr.parts.finetuning.transcripts import Transcripts
from nemo.utils import logging
from nemo.utils.option_checks import check_choice, read_option

TYPES = ("char", "bpe", "wpe", "agg")  # of `model.tokenizer`; null is char
ONLY_TRAINING = ("vocab_size", "spe_type")  # options of a tokenizer that is trained, which NeMo does not know


def check_vocabulary(model: Mapping, training: Transcripts) -> None:
    """Checks `model.labels` and `model.tokenizer` before anything is trained or built.

    Args:
        model: the recogniser's config
        training: the texts of its training data

    Raises:
        ValueError: naming the option: both are given, a type is none of `TYPES`, a tokenizer's folder lacks files, a
            tokenizer cannot be trained, or the texts that characters would be taken from cannot be read here.
    """
    kind, labels = _kind(model), model.get("labels")
    if kind == "char":
        if labels is None and not training.complete:
            raise ValueError(
                "model.labels=null: the characters cannot be read from model.train_ds, whose texts are not in local "
                "manifests; give model.labels, or a model.tokenizer with a dir"
            )
        return
    tokenizer = model["tokenizer"]
    if labels is not None:
        raise ValueError(f"model.labels={list(labels)} and model.tokenizer.type={kind}: only one can be given")
    for option, part_kind, folder in _folders(tokenizer):
        if folder is not None:
            check_folder(option, folder, check_choice(option.replace(".dir", ".type"), part_kind, tuple(NEEDED)))
        elif part_kind != "bpe" or option != "model.tokenizer.dir":
            raise ValueError(f"{option}=null: only a single tokenizer of type bpe can be trained; give its folder")
        elif not training.complete:
            raise ValueError(
                f"{option}=null: model.train_ds, whose texts are not in local manifests, can train no tokenizer"
            )
        else:
            _training_options(tokenizer)


def set_vocabulary(model: DictConfig, training: Transcripts, folder: Path) -> None:
    """Completes the config in place: characters as labels, or a tokenizer, which is trained where its `dir` is null.

    Args:
        model: the recogniser's config
        training: the texts of its training data
        folder: of the run; the tokenizer goes into `tokenizer/` there

    Raises:
        ValueError: see `trained_tokenizer`
    """
    with open_dict(model):
        if _kind(model) == "char":
            model.pop("tokenizer", None)
            if model.get("labels") is None:
                model.labels = training.labels
                logging.info(f"{len(training.labels)} characters: {''.join(training.labels)!r}")
            _set_labels(model, list(model.labels))
            return
        model.pop("labels", None)
        if model.tokenizer.type == "bpe" and model.tokenizer.get("dir") is None:
            model.tokenizer.dir = str(
                trained_tokenizer(folder.resolve() / "tokenizer", training, *_training_options(model.tokenizer))
            )
        for option in ONLY_TRAINING:
            model.tokenizer.pop(option, None)


def warn_of_unknown(model: Mapping, name: str, transcripts: Transcripts) -> None:
    """Warns of characters of other data that are no labels: NeMo leaves them out of the reference."""
    labels = model.get("labels")
    unknown = sorted(set(transcripts.labels) - set("".join(labels))) if labels else []
    if unknown and _kind(model) == "char":
        logging.warning(f"model.{name} has characters that are no labels, NeMo leaves them out: {unknown}")


def _kind(model: Mapping) -> str:
    tokenizer = model.get("tokenizer")
    if tokenizer is None:
        return "char"
    return check_choice("model.tokenizer.type", tokenizer.get("type"), TYPES)


def _folders(tokenizer: Mapping) -> Iterator[tuple[str, Any, Any]]:
    """Option, type and folder of a tokenizer, or of each language's."""
    if tokenizer["type"] != "agg":
        yield "model.tokenizer.dir", tokenizer["type"], tokenizer.get("dir")
        return
    for language, part in (tokenizer.get("langs") or {}).items():
        yield f"model.tokenizer.langs.{language}.dir", part.get("type"), part.get("dir")


def _training_options(tokenizer: Mapping) -> tuple[int, str]:
    return read_option("model.tokenizer.vocab_size", tokenizer), read_option("model.tokenizer.spe_type", tokenizer)


def _set_labels(model: DictConfig, labels: list[str]) -> None:
    if is_transducer(model):
        return  # NeMo takes them from `model.labels`
    model.decoder.vocabulary = labels
    model.decoder.num_classes = len(labels)
