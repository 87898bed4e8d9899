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
import pickle
import posixpath
import runpy
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from nemo_streaming_ssl.finder import overlay_root
from nemo_streaming_ssl.inputs import InputError, Subcommands, require_file

if TYPE_CHECKING:  # NeMo takes seconds to import, and most files need no torch to be stripped
    from torch import Tensor

    from nemo.collections.asr.parts.contexts import AttentionContext

CONFIG, WEIGHTS = "model_config.yaml", "model_weights.ckpt"
# What reading an archive that is none, or not all of one, raises.
DAMAGED = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile)
OPTIONS_FILE = ("nemo", "utils", "options.py")  # the table of our options, in the overlay
CONTEXTS = ("hierarchical_context", "context_cap")
LAYER = "decoder.decoder_layers.0."  # a decoder's only one: Conv1d whose outputs are (classes, heads), heads last
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
    lost = _strip_contexts(cfg)
    for name, section, options in _sections(cfg):
        for key, option in options.items():
            if key not in section:
                continue
            value = section.pop(key)
            if option.lost and _is_set(value):
                lost.append(f'{f"{name}." if name else ""}{key}={_shown(value)}: {option.lost}')
    return lost


def _sections(cfg: Config) -> Iterator[tuple[str, Config, dict[str, Any]]]:
    """Sections of a config that may have options of ours: name, the section, the options that it may have.

    Those of SSL models stand in the model's config and in the sections of its data; the others are arguments of
    classes.
    """
    if "masking" in cfg:
        yield "", cfg, _table()["OPTIONS"]["model"]
        for name in ("train_ds", "validation_ds", "test_ds"):
            if isinstance(cfg.get(name), dict):
                yield name, cfg[name], _table()["OPTIONS"][f"model.{name}"]
    yield from _modules(cfg)


def _modules(cfg: Config, path: str = "") -> Iterator[tuple[str, Config, dict[str, Any]]]:
    """The same for the sections that a module of NeMo is built from."""
    name = str(cfg.get("_target_", "")).rpartition(".")[2].removesuffix("Adapter")
    if name in _table()["ARGUMENTS"]:
        yield path, cfg, _table()["OPTIONS"][_table()["ARGUMENTS"][name]]
    for key, value in cfg.items():
        if isinstance(value, dict):
            yield from _modules(value, f"{path}.{key}" if path else str(key))


@cache
def _table() -> dict[str, Any]:
    """The table of our options: data alone, which needs no import of NeMo, and is there if the patches are off too."""
    return runpy.run_path(os.path.join(overlay_root() or "", *OPTIONS_FILE))


def _is_set(value: Any) -> bool:
    """Whether an option does something that plain NeMo does not."""
    if isinstance(value, dict):
        return bool(value.get("enabled", True))
    return value is not None and value is not False and value not in ("never", "masked_tokens")  # 0 is a seed


def _shown(value: Any) -> str:
    return "{...}" if isinstance(value, dict) else str(value).lower() if isinstance(value, bool) else str(value)


def _strip_contexts(cfg: Config) -> list[str]:
    """Makes contexts of layers the one of `cfg['encoder']`, in place: plain NeMo has one for all of them.

    Where all layers see the same, nothing is lost; otherwise plain NeMo's layers get the widest.

    Returns:
        what has changed, a line each

    Raises:
        ValueError: a context is none; the patches are switched off, which can read them.
    """
    encoder = cfg.get("encoder")
    if not isinstance(encoder, dict):
        return []
    if "masking" in cfg and _is_block(cfg.get("hierarchical_context")):
        encoder["hierarchical_context"] = cfg["hierarchical_context"]  # as the SSL models do
    given = {key: encoder.pop(key, None) for key in CONTEXTS}
    if given["context_cap"] is None and not _is_block(given["hierarchical_context"]):
        return []
    try:
        from nemo.collections.asr.parts.contexts import ConfiguredContexts, widest
    except ImportError as error:
        raise ValueError("its contexts can be read with the patches only; is NEMO_STREAMING_SSL=off set?") from error
    contexts = ConfiguredContexts.from_config({**encoder, **given})
    seen = contexts.own_within_cap() or []
    if len(contexts.sizes) > 1:
        return [_beside_several(encoder["att_context_size"], contexts.sizes, seen)]
    size = encoder["att_context_size"] = widest(seen).as_list()
    lost = f"encoder.hierarchical_context: {_listed(seen)}; plain NeMo gives all layers {size}: other outputs"
    if len(set(seen)) == 1:
        lost = f"encoder.att_context_size={size}: the context of all layers; nothing is lost"
    if encoder.get("self_attention_model") != "rel_pos_local_attn":
        return [lost]
    encoder["self_attention_model"] = "rel_pos"
    return [lost, "encoder.self_attention_model=rel_pos: what rel_pos_local_attn computed with contexts of layers"]


def _is_block(block: Any) -> bool:
    return isinstance(block, dict) and _is_set(block)


def _beside_several(given: Any, sizes: list["AttentionContext"], seen: list["AttentionContext"]) -> str:
    """What is lost with contexts of layers where NeMo draws one of several for all of them."""
    if all(size.within(context) == size for size in sizes for context in seen):
        return f"encoder.hierarchical_context: no layer saw less than {given}; nothing is lost"
    return f"encoder.hierarchical_context: {_listed(seen)}; plain NeMo gives all layers one of {given}: other outputs"


def _listed(seen: list["AttentionContext"]) -> str:
    """`layers 0 to 5 had [40, 0], layer 6 [120, 0]`"""
    parts: list[str] = []
    for context, group in groupby(range(len(seen)), key=seen.__getitem__):
        first, *others = group
        layers = f"layers {first} to {others[-1]}" if others else f"layer {first}"
        parts.append(f'{layers} {"" if parts else "had "}{context.as_list()}')
    return ", ".join(parts)


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
    from omegaconf import OmegaConf

    cfg = _read_config(model)
    changed: dict[str, IO[bytes]] = {}
    if "masking" in cfg and cfg.get("objective") == "next_tokens":
        weights = _cut_weights(model, cfg.get("decoder") or {}, part.parent)
        changed = {} if weights is None else {WEIGHTS: weights}
    try:
        lost = strip_config(cfg)
    except Exception as error:  # a context in it may be none
        raise InputError(f"{model}: {CONFIG}", error) from error
    changed[CONFIG] = io.BytesIO(OmegaConf.to_yaml(OmegaConf.create(cfg)).encode())
    with tarfile.open(model) as source, tarfile.open(part, "x:") as target:
        for member in source:
            content: Any = changed.get(posixpath.normpath(member.name))
            if content is None:
                content = source.extractfile(member) if member.isfile() else None
            else:
                member.size = content.seek(0, os.SEEK_END)
                cast(Any, member.pax_headers).pop("size", None)  # it would be believed
                content.seek(0)
            target.addfile(member, content)
    return lost


def _read_config(model: Path) -> Config:
    """The config in a `.nemo` file, with our options."""
    # OmegaConf reads 1e-3 as a number, which YAML by itself does not
    from omegaconf import OmegaConf

    with tarfile.open(model) as archive:
        content = _file_in(archive, CONFIG)
        if content is None:
            raise InputError(str(model), ValueError(f"is no .nemo file: it has no {CONFIG}"))
        text = content.read().decode()
    try:
        cfg: Any = OmegaConf.to_container(OmegaConf.create(text), resolve=True)
        if not isinstance(cfg, dict):
            raise ValueError("is no mapping")
    except Exception as error:  # OmegaConf and YAML have no common type
        raise InputError(f"{model}: {CONFIG}", error) from error
    return cfg


def _file_in(archive: tarfile.TarFile, name: str) -> IO[bytes] | None:
    for member in archive:
        if posixpath.normpath(member.name) == name and member.isfile():
            return archive.extractfile(member)
    return None


def _cut_weights(model: Path, decoder: dict[str, Any], folder: Path) -> IO[bytes] | None:
    """The weights of a `.nemo` file with the heads of the first predicted token only.

    Our decoder has heads for each predicted token of each codebook, offsets outermost; NeMo's, for each codebook.

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
        with tarfile.open(model) as archive:
            content = _file_in(archive, WEIGHTS)
            if content is None:
                raise ValueError("is not there")
            state = torch.load(content, map_location="cpu", weights_only=True)
        heads = {name: state[name] for name in (f"{LAYER}weight", f"{LAYER}bias") if name in state}
        cut = {
            name: _first_heads(value, decoder["num_classes"], decoder.get("num_decoders", 1))
            for name, value in heads.items()
        }
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


def _first_heads(value: "Tensor", classes: int, kept: int) -> "Tensor":
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
