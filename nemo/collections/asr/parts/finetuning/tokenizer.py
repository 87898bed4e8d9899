# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Trains a sentencepiece tokenizer on the texts of the training manifests, once for all ranks."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from nemo.collections.common.tokenizers.sentencepiece_tokenizer import create_spt_model
from nemo.utils import logging
from nemo.utils.get_rank import is_global_rank_zero

TEXT = "text.txt"
OPTIONS = "trained_with.json"  # beside the tokenizer: what it was asked to be
NEEDED = {"bpe": ("tokenizer.model", "vocab.txt"), "wpe": ("vocab.txt",)}  # files of NeMo's kinds of tokenizers
LONGEST_WAIT = 3600.0  # s, of the other ranks
PAUSE = 0.2  # s between two looks


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
    _wait_for(folder)
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


def _wait_for(folder: Path) -> None:
    end = time.monotonic() + LONGEST_WAIT
    while not folder.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{folder}: rank 0 has not trained the tokenizer")
        time.sleep(PAUSE)
