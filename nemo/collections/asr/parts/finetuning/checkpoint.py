# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What fine-tuning takes from a `.nemo` file, the model's config and the weights of its preprocessor and encoder, and
how these are loaded into a recogniser.

The file is read, not restored: the class that it is of need not be there, and its data is not looked for.
"""

import gzip
import pickle
import posixpath
import shutil
import tarfile
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from yaml import YAMLError

from nemo.collections.asr.parts.submodules.subsampling import unwrap_subsampling
from nemo.collections.asr.parts.utils.ssl_config import hand_contexts_to_encoder, plain_copy

CONFIG, WEIGHTS = "model_config.yaml", "model_weights.ckpt"
PARTS = ("preprocessor", "encoder")  # what a recogniser takes over
# What reading a file raises that is none, or not all of one.
DAMAGED = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, pickle.UnpicklingError, RuntimeError, YAMLError)
NAMED = 10  # of the tensors that do not fit


class Size(NamedTuple):
    """How much of a model: tensors, and the numbers in them."""

    tensors: int
    values: int


@dataclass(frozen=True)
class Pretrained:
    """A pretrained model.

    Args:
        path: of its file
        config: the model's, with the contexts of its layers in the encoder's section
        weights: of preprocessor and encoder, by the names that they have in a recogniser
        left_out: what else is in the file, by the first part of its names
    """

    path: str
    config: DictConfig
    weights: dict[str, Tensor]
    left_out: dict[str, Size]

    @property
    def class_name(self) -> str:
        """Of the model that was saved."""
        return str(self.config.get("target", "a model")).rpartition(".")[2]


def read_pretrained(path: str) -> Pretrained:
    """Reads a `.nemo` file, of ours or of plain NeMo.

    Raises:
        ValueError: there is none, it is damaged, or the model in it has no encoder or preprocessor; contexts in its
            config are not valid, see `hand_contexts_to_encoder`.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        what = "is a folder, not a .nemo file" if file.is_dir() else "there is no such file"
        raise ValueError(f"pretrained.path={path}: {what}")
    try:
        with tarfile.open(file) as archive:
            config, weights = _read_config(archive), _read_weights(archive)
    except DAMAGED as error:
        raise ValueError(f"pretrained.path={path}: is no .nemo file, or not all of one ({error})") from error
    lacking = [part for part in PARTS if not isinstance(config.get(part), Mapping)]
    if lacking:
        raise ValueError(
            f"pretrained.path={path}: its config has no {' and no '.join(lacking)}; the model must have both"
        )
    hand_contexts_to_encoder(config)
    return Pretrained(str(path), config, *_sorted_out(weights))


def sizes(named: Iterable[tuple[str, Tensor]]) -> dict[str, Size]:
    """How much there is of each part of a model, the part being what its names begin with."""
    counts: dict[str, Size] = defaultdict(lambda: Size(0, 0))
    for name, tensor in named:
        part = name.partition(".")[0]
        counts[part] = Size(counts[part].tensors + 1, counts[part].values + tensor.numel())
    return dict(counts)


def _read_config(archive: tarfile.TarFile) -> DictConfig:
    config = OmegaConf.load(_member(archive, CONFIG))
    if not isinstance(config, DictConfig):
        raise tarfile.ReadError(f"{CONFIG} is no config")
    return plain_copy(config.model if "model" in config else config)


def _read_weights(archive: tarfile.TarFile) -> dict[str, Tensor]:
    with tempfile.TemporaryFile() as copy:  # a member of a compressed archive is slow to jump about in
        shutil.copyfileobj(_member(archive, WEIGHTS), copy)
        copy.seek(0)
        return torch.load(copy, map_location="cpu", weights_only=True)


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    for member in archive:
        if posixpath.basename(member.name) == name:
            opened = archive.extractfile(member)
            if opened is not None:
                return opened
    raise tarfile.ReadError(f"there is no {name} in it")


def _sorted_out(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Size]]:
    """Weights that a recogniser takes over, by its names, and the sizes of the others."""
    unwrapped = unwrap_subsampling(weights, "encoder.")
    taken, others = {}, []
    for name, tensor in weights.items():
        if unwrapped and name.startswith("pre_encoder."):
            continue  # subsampling and mask of the encoder by a second name
        if unwrapped and name.startswith("encoder.pre_encode.") and name not in unwrapped:
            others.append((f"mask in the encoder.{name}", tensor))
        elif name.partition(".")[0] in PARTS:
            taken[name] = tensor
        else:
            others.append((name, tensor))
    return taken, sizes(others)


@dataclass(frozen=True)
class LoadReport:
    """What `load_into` did, by part of the model.

    Args:
        source: the pretrained model
        loaded: weights of the recogniser that are the pretrained ones
        left_out: what the file has and a recogniser does not
        new: weights of the recogniser that the file does not have
    """

    source: str
    loaded: dict[str, Size]
    left_out: dict[str, Size]
    new: dict[str, Size]

    def __str__(self) -> str:
        rows = (("loaded", self.loaded), ("left out", self.left_out), ("new", self.new))
        lines = [
            f"  {what:<9} {part:<20} {size.tensors:>5} tensors {size.values / 1e6:>9.3f} M values"
            for what, parts in rows
            for part, size in parts.items()
        ]
        return "\n".join([f"Weights of {self.source}", *lines])


def load_into(model: nn.Module, pretrained: Pretrained) -> LoadReport:
    """Loads the pretrained weights of preprocessor and encoder, by exact names and shapes.

    Args:
        model: a recogniser with a `preprocessor` and an `encoder`; changed in place, unless there is an error

    Raises:
        ValueError: a tensor of the two gets no value, has another shape, or is in the file alone; the first of them
            are named, with both shapes.
    """
    state = model.state_dict()
    wanted = {name: tensor for name, tensor in state.items() if name.partition(".")[0] in PARTS}
    ours, theirs = ({name: tuple(x.shape) for name, x in some.items()} for some in (wanted, pretrained.weights))
    problems = [
        f"{name}: the recogniser has {ours.get(name, 'none')}, the checkpoint has {theirs.get(name, 'none')}"
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    ]
    if problems:
        raise ValueError("\n".join(_message(pretrained, problems)))
    model.load_state_dict(pretrained.weights, strict=False)
    return LoadReport(
        source=f"{pretrained.path} ({pretrained.class_name})",
        loaded=sizes(wanted.items()),
        left_out=pretrained.left_out,
        new=sizes((name, tensor) for name, tensor in state.items() if name not in wanted),
    )


def _message(pretrained: Pretrained, problems: list[str]) -> Iterator[str]:
    yield f"pretrained.path={pretrained.path}: {len(problems)} tensors do not fit the recogniser"
    yield from (f"  - {problem}" for problem in problems[:NAMED])
    if len(problems) > NAMED:
        yield f"  and {len(problems) - NAMED} more"
    if any("adapter" in problem for problem in problems):
        yield "Adapters are not taken over: merge them into the weights, or remove them, and save the model again."
