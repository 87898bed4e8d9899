# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What commands are given: files, a model's config with overrides, and the error for what cannot be read."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # NeMo takes seconds to import, and most commands need none of it
    from nemo.collections.asr.parts.lookahead import LookaheadReport

# What `ArgumentParser.add_subparsers` returns; argparse has no public name for it.
Subcommands = Any


class InputError(Exception):
    """What the user gave cannot be read; the message is one line. The command line prints it and ends with 2."""

    def __init__(self, what: str, error: Exception):
        super().__init__(f'{what}: {" ".join(str(error).split()) or type(error).__name__}')


def require_file(path: Path) -> None:
    """Raises an InputError if there is no file of that path."""
    if path.is_dir():
        raise InputError(str(path), IsADirectoryError("is a folder, not a file"))
    if not path.is_file():
        raise InputError(str(path), FileNotFoundError("there is no such file"))


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments `config` and `overrides`, for every command that reads a model's config."""
    parser.add_argument("config", type=Path, help="a YAML config, composed as Hydra does, or a .nemo file")
    parser.add_argument("overrides", nargs="*", help="values of a YAML config, such as model.encoder.n_layers=2")


def load_config(path: Path, overrides: Sequence[str] = ()) -> Any:
    """The config of a YAML file, composed by Hydra with its `defaults` and overrides, or of a .nemo file.

    Raises:
        InputError: it cannot be read, or there are overrides for a .nemo file.
    """
    require_file(path)
    try:
        if path.suffix != ".nemo":
            from hydra import compose, initialize_config_dir

            with initialize_config_dir(str(path.resolve().parent), version_base=None):
                return compose(path.name, overrides=list(overrides))
        if overrides:
            raise ValueError(f"{overrides[0]}: the values of a .nemo file cannot be replaced")

        from nemo.core import ModelPT

        return ModelPT.restore_from(str(path), return_config=True)
    except Exception as error:  # Hydra, OmegaConf, YAML and tarfile have no common type
        raise InputError(str(path), error) from error


def model_section(config: Any) -> Any:
    """The model's own config: all of a .nemo file's, a section of a YAML file's."""
    return config.model if "model" in config else config


def read_report(path: Path, config: Any) -> "LookaheadReport":
    """`report_lookahead`, with an InputError for a config that it cannot read."""
    from nemo.collections.asr.parts.lookahead import report_lookahead

    try:
        return report_lookahead(config)
    except Exception as error:  # OmegaConf raises its own types for what is missing
        raise InputError(str(path), error) from error
