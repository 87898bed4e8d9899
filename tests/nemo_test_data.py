# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A stand-in for the test data that NeMo's own tests would download: tokenizers and two utterances of noise."""

import io
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import sentencepiece
import soundfile

SAMPLE_RATE = 16000  # Hz
VOCABULARY_SIZE = 128
UTTERANCES = ("train/an4/wav/an46-mmap-b.wav", "train/an4/wav/an104-mrcb-b.wav")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
REVISION = "0" * 40
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_archive(file: Path) -> None:
    """Writes `test_data.tar.gz`, with the paths that NeMo's tests of tokenizers and transcription ask for."""
    file.parent.mkdir(parents=True)
    contents = {f"asr/{name}": _noise(seed) for seed, name in enumerate(UTTERANCES)}
    contents["asr/tokenizers/an4_wpe_128/vocab.txt"] = "\n".join(_word_pieces()).encode()
    contents.update((f"asr/tokenizers/an4_spe_128/{name}", data) for name, data in _sentence_pieces().items())
    with tarfile.open(file, "w:gz") as archive:
        for name, data in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def write_hub_cache(folder: Path) -> None:
    """Writes a cache of Hugging Face's hub with the tokenizer on which NeMo builds each word-piece tokenizer."""
    repository = folder / "models--bert-base-cased"
    snapshot = repository / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(REVISION)
    (snapshot / "config.json").write_text('{"model_type": "bert"}')
    (snapshot / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": false}')
    (snapshot / "vocab.txt").write_text("\n".join(_word_pieces()))


def _noise(seed: int) -> bytes:
    buffer = io.BytesIO()
    samples = 0.1 * np.random.default_rng(seed).standard_normal(2 * SAMPLE_RATE)
    soundfile.write(buffer, samples.clip(-1, 1), SAMPLE_RATE, format="WAV")
    return buffer.getvalue()


def _word_pieces() -> list:
    pieces = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    pairs = [a + b for a in "aeiou" for b in LETTERS]
    return [*pieces, *pairs[: VOCABULARY_SIZE - len(pieces)]]


def _sentence_pieces() -> dict:
    """A trained model, its vocabulary, and the vocabulary in NeMo's form, by file name."""
    words = [a + b + c for a in LETTERS for b in "aeiou" for c in LETTERS]
    with TemporaryDirectory() as folder:
        text = Path(folder, "text.txt")
        text.write_text("\n".join(" ".join(words[i::40]) for i in range(40)))
        sentencepiece.SentencePieceTrainer.Train(
            input=str(text), model_prefix=f"{folder}/tokenizer", vocab_size=VOCABULARY_SIZE, minloglevel=2
        )
        files = {f"tokenizer.{kind}": Path(folder, f"tokenizer.{kind}").read_bytes() for kind in ("model", "vocab")}
    pieces = [line.split("\t")[0] for line in files["tokenizer.vocab"].decode().splitlines()]
    return {**files, "vocab.txt": "\n".join(piece.replace("\u2581", "##") for piece in pieces[1:]).encode()}
