# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a recogniser writes: characters, or the pieces of a tokenizer, which is trained once for all ranks."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from nemo.collections.asr.parts.finetuning.inheritance import is_transducer
from nemo.collections.asr.parts.finetuning.transcripts import Transcripts
from nemo.collections.common.tokenizers.sentencepiece_tokenizer import create_spt_model
from nemo.utils import logging
from nemo.utils.get_rank import is_global_rank_zero
from nemo.utils.option_checks import check_choice, read_option

TYPES = ("char", "bpe", "wpe", "agg")  # of `model.tokenizer`; null is char
ONLY_TRAINING = ("vocab_size", "spe_type")  # options of a tokenizer that is trained, which NeMo does not know
TEXT = "text.txt"
OPTIONS = "trained_with.json"  # beside the tokenizer: what it was asked to be
NEEDED = {"bpe": ("tokenizer.model", "vocab.txt"), "wpe": ("vocab.txt",)}  # files of NeMo's kinds of tokenizers
LONGEST_WAIT = 3600.0  # s, of the other ranks
PAUSE = 0.2  # s between two looks


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
            if not is_transducer(model):  # where NeMo takes them from `model.labels`
                model.decoder.vocabulary = list(model.labels)
                model.decoder.num_classes = len(model.labels)
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


def check_folder(option: str, folder: str, kind: str) -> None:
    """Raises a ValueError that names the option and the files that a tokenizer's folder lacks."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise ValueError(f"{option}={folder}: there is no such folder")
    lacking = [name for name in NEEDED[kind] if not (path / name).is_file()]
    if lacking:
        needed = " and ".join(NEEDED[kind])
        raise ValueError(f"{option}={folder}: has no {' and no '.join(lacking)}; a {kind} tokenizer is {needed}")


def trained_tokenizer(folder: Path, texts: Iterable[str], vocab_size: int, spe_type: str) -> Path:
    """Trains the tokenizer in a folder, or takes the one that an earlier start of the same run has trained there.

    Rank 0 trains; the others wait for the folder, which appears when it is complete.

    Args:
        folder: where it goes
        texts: what it is trained on
        vocab_size: pieces, fewer where the texts do not have as many
        spe_type: sentencepiece's `model_type`, `bpe` or `unigram`
    Returns:
        the folder

    Raises:
        ValueError: the tokenizer that is there was asked to be another, or the texts have more characters than pieces
            are asked for
        TimeoutError: rank 0 has trained none within an hour
    """
    options = {"vocab_size": vocab_size, "spe_type": spe_type}
    if not folder.exists() and is_global_rank_zero():
        _train(folder, texts, options)
    end = time.monotonic() + LONGEST_WAIT
    while not folder.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{folder}: rank 0 has not trained the tokenizer")
        time.sleep(PAUSE)
    there = json.loads((folder / OPTIONS).read_text()) if (folder / OPTIONS).is_file() else None
    if there != options:
        raise ValueError(
            f"{folder}: the tokenizer there was trained with {there}, the config asks for {options}; go on with the "
            "same values, take another exp_manager.exp_dir, or set model.tokenizer.dir"
        )
    return folder


def _train(folder: Path, texts: Iterable[str], options: Mapping) -> None:
    """Trains in a folder of its own, whose path has no blank: sentencepiece would take one for the next option."""
    part = folder.with_name(f".{folder.name}.{os.getpid()}")
    with tempfile.TemporaryDirectory() as work:
        pieces = _run_sentencepiece(Path(work), texts, options)
        (Path(work) / OPTIONS).write_text(json.dumps(options))
        part.mkdir(parents=True, exist_ok=True)
        try:
            for file in Path(work).iterdir():
                if file.name != TEXT:
                    shutil.copy(file, part)
            os.replace(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    fewer = "" if pieces == options["vocab_size"] else f", not {options['vocab_size']}: the texts have no more"
    logging.info(f"Trained a tokenizer of {pieces} pieces{fewer}, in {folder}.")


def _run_sentencepiece(work: Path, texts: Iterable[str], options: Mapping) -> int:
    """Returns how many pieces there are."""
    with open(work / TEXT, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in texts)
    try:
        create_spt_model(
            data_file=str(work / TEXT),
            vocab_size=options["vocab_size"],
            sample_size=-1,
            do_lower_case=False,
            tokenizer_type=options["spe_type"],
            output_dir=str(work),
        )
    except RuntimeError as error:  # sentencepiece knows no other
        raise ValueError(f"model.tokenizer.vocab_size={options['vocab_size']}: {error}") from error
    return len((work / "tokenizer.vocab").read_text(encoding="utf-8").splitlines())
