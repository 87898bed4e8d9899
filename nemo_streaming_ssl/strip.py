# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`nemo-streaming-ssl strip`: a `.nemo` file without our options, for plain NeMo, and what is lost with them.

A `.nemo` file is a tar archive. Its weights and everything else are copied byte for byte, its `model_config.yaml` is
written anew. Weights are written anew with `objective: next_tokens`, whose decoder has more heads than plain NeMo's.
A file of ours with `mask_position: post_conv` needs no more than that: its `masking.block_size` is in feature frames,
and plain NeMo divides it when it opens the file.
"""

import argparse
import gzip
import io
import os
import posixpath
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from nemo_streaming_ssl.inputs import InputError, Subcommands, require_file
from nemo_streaming_ssl.stripped_contexts import CONTEXT_KEYS, strip_contexts
from nemo_streaming_ssl.stripped_objective import WEIGHTS, cut_weights, has_other_heads

CONFIG = "model_config.yaml"
# What reading an archive that is none, or not all of one, raises.
DAMAGED = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile)
SAME_OUTPUTS = "the encoder has the same outputs"

# What is lost with an option of ours where it is set, by the class that takes it as an argument ...
OWN_ARGUMENTS = {
    "ConformerEncoder": {"banded_attention": "speed; outputs are the same within rounding"},
    "RandomBlockMasking": {
        "causal": f"plain NeMo draws other masks in training; {SAME_OUTPUTS}",
        "left_context_size": "",
        "context_stride": "",
    },
    "ContrastiveLoss": {
        "length_aware_negatives": f"plain NeMo draws padding as negatives in training; {SAME_OUTPUTS}"
    },
}
# ... and, for SSL models, by the section of the config that it is in; '' is the model itself. Plain NeMo does not
# look at these.
OWN_KEYS = {
    "": {
        "streaming": "plain NeMo does not check it",
        "allow_lookahead": "",
        "target_normalize": f"plain NeMo makes other targets in training; {SAME_OUTPUTS}",
        "objective": (
            "plain NeMo predicts masked tokens; the decoder keeps the heads of the first of the next tokens; "
            f"{SAME_OUTPUTS}"
        ),
        "next_tokens": "",
        "masked_only_decoding": "speed",
        "hierarchical_context": "",
        "curriculum_context": "plain NeMo trains with the same contexts at all steps",
        "seed": "plain NeMo draws masks and the order of the data anew when a run is resumed",
        "on_bad_audio": "plain NeMo stops at audio that it cannot read, and trains on NaN samples",
        "on_nonfinite": "plain NeMo makes every step, also one whose loss is NaN",
    },
    "train_ds": {"check_audio_files": ""},
    "validation_ds": {"check_audio_files": ""},
    "test_ds": {"check_audio_files": ""},
}

Config = dict[str, Any]


def add_strip(commands: Subcommands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("strip", help="a .nemo file without our options, which plain NeMo opens")
    parser.add_argument("model", type=Path, help="a .nemo file; it is not changed")
    parser.add_argument("out", type=Path, help="the file to write")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.set_defaults(run=run_strip)


def run_strip(args: argparse.Namespace) -> int:
    """Writes the file and prints what is lost.

    Returns:
        0, or 2 if a file cannot be read or written
    """
    try:
        lost = strip(args.model, args.out, args.force)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    for line in lost:
        print(line)
    print(f"{args.out}: written" if lost else f"{args.out}: written; {args.model} had no option of ours")
    return 0


def strip(model: Path, out: Path, force: bool = False) -> list[str]:
    """Writes a `.nemo` file without our options. `out` is there when it is complete, or not at all.

    Returns:
        what was taken out of the config and what is lost with it, a line each

    Raises:
        InputError: `model` is no `.nemo` file, its config cannot be read; `out` is `model`, or is there without
            `force`, or cannot be written.
    """
    _check_paths(model, out, force)
    part = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        lost = _copy(model, part)
        os.replace(part, out)
    except DAMAGED as error:
        raise InputError(str(model), ValueError(f"is no .nemo file, or not all of one ({error})")) from error
    except OSError as error:
        raise InputError(str(out), error) from error
    finally:
        part.unlink(missing_ok=True)
    return lost


def strip_config(cfg: Config) -> list[str]:
    """Takes our options out of a model's config, in place; returns what is lost, as `strip` does."""
    lost = strip_contexts(cfg)
    for name, section, losses in _sections(cfg):
        for key, loss in losses.items():
            if key not in section:
                continue
            value = section.pop(key)
            if loss and _is_set(key, value):
                lost.append(f'{f"{name}." if name else ""}{key}={_shown(value)}: {loss}')
    return lost


def _sections(cfg: Config) -> Iterator[tuple[str, Config, dict[str, str]]]:
    """Sections of a config that may have options of ours: name, the section, what is lost with each option."""
    if "masking" in cfg:
        for name, losses in OWN_KEYS.items():
            section = cfg.get(name) if name else cfg
            if isinstance(section, dict):
                yield name, section, losses
    yield from _modules(cfg)


def _modules(cfg: Config, path: str = "") -> Iterator[tuple[str, Config, dict[str, str]]]:
    """The same for the sections that a module of NeMo is built from."""
    name = str(cfg.get("_target_", "")).rpartition(".")[2].removesuffix("Adapter")
    if name in OWN_ARGUMENTS:
        yield path, cfg, OWN_ARGUMENTS[name] | (dict.fromkeys(CONTEXT_KEYS, "") if name == "ConformerEncoder" else {})
    for key, value in cfg.items():
        if isinstance(value, dict):
            yield from _modules(value, f"{path}.{key}" if path else str(key))


def _is_set(key: str, value: Any) -> bool:
    """Whether an option does something that plain NeMo does not."""
    if key == "masked_only_decoding":
        return bool(value)
    if isinstance(value, dict):
        return bool(value.get("enabled", True))
    return value is not None and value is not False and value not in ("never", "masked_tokens")  # 0 is a seed


def _shown(value: Any) -> str:
    return "{...}" if isinstance(value, dict) else str(value).lower() if isinstance(value, bool) else str(value)


def _check_paths(model: Path, out: Path, force: bool) -> None:
    if model.is_dir():
        raise InputError(str(model), IsADirectoryError("a folder; pack it into one .nemo file first"))
    require_file(model)
    if not out.exists():
        return
    if out.samefile(model):
        raise InputError(str(out), FileExistsError("is the model itself, which is not overwritten"))
    if out.is_dir() or not force:
        raise InputError(str(out), FileExistsError("is a folder" if out.is_dir() else "is there; --force replaces it"))


def _copy(model: Path, part: Path) -> list[str]:
    """Copies the archive, with another config and, where its decoder has more heads than plain NeMo's, weights."""
    cfg = _read_config(model)
    changed: dict[str, IO[bytes]] = {}
    if has_other_heads(cfg):
        weights = cut_weights(model, cfg.get("decoder") or {}, part.parent)
        changed = {} if weights is None else {WEIGHTS: weights}
    text, lost = _stripped_yaml(model, cfg)
    changed[CONFIG] = io.BytesIO(text)
    with tarfile.open(model) as source, tarfile.open(part, "x:") as target:
        for member in source:
            content: Any = source.extractfile(member) if member.isfile() else None
            content = _take_in_place(member, changed.get(posixpath.normpath(member.name)), content)
            target.addfile(member, content)
    return lost


def _take_in_place(member: tarfile.TarInfo, changed: IO[bytes] | None, content: Any) -> Any:
    """What a file of the archive has in it: `changed`, whose size it then says, or what it had."""
    if changed is None:
        return content
    member.size = changed.seek(0, os.SEEK_END)
    headers: Any = member.pax_headers
    headers.pop("size", None)  # it would be believed
    changed.seek(0)
    return changed


def _read_config(model: Path) -> Config:
    """The config in a `.nemo` file, with our options."""
    # OmegaConf reads 1e-3 as a number, which YAML by itself does not
    from omegaconf import OmegaConf

    text = _text_of_config(model)
    try:
        cfg: Any = OmegaConf.to_container(OmegaConf.create(text), resolve=True)
        if not isinstance(cfg, dict):
            raise ValueError("is no mapping")
    except Exception as error:  # OmegaConf and YAML have no common type
        raise InputError(f"{model}: {CONFIG}", error) from error
    return cfg


def _text_of_config(model: Path) -> str:
    with tarfile.open(model) as source:
        for member in source:
            if posixpath.normpath(member.name) == CONFIG and member.isfile():
                content: Any = source.extractfile(member)
                return content.read().decode()
    raise InputError(str(model), ValueError(f"is no .nemo file: it has no {CONFIG}"))


def _stripped_yaml(model: Path, cfg: Config) -> tuple[bytes, list[str]]:
    """The text of a config without our options, which are taken out of `cfg`, and what is lost."""
    from omegaconf import OmegaConf

    try:
        lost = strip_config(cfg)
    except Exception as error:  # a context in it may be none
        raise InputError(f"{model}: {CONFIG}", error) from error
    return OmegaConf.to_yaml(OmegaConf.create(cfg)).encode(), lost
