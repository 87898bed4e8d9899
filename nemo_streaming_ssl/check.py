# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`nemo-streaming-ssl check`: how far ahead a model looks, and a test on the model that it looks no further."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # NeMo takes seconds to import, and most commands need none of it
    from nemo.collections.asr.parts.lookahead import LookaheadReport

# What `ArgumentParser.add_subparsers` returns; argparse has no public name for it.
Subcommands = Any

DATA_SECTIONS = ("train_ds", "validation_ds", "test_ds")


class InputError(Exception):
    """What the user gave cannot be read; the message is one line."""

    def __init__(self, what: str, error: Exception):
        super().__init__(f'{what}: {" ".join(str(error).split()) or type(error).__name__}')


def require_file(path: Path) -> None:
    """Raises an InputError if there is no file of that path."""
    if path.is_dir():
        raise InputError(str(path), IsADirectoryError("is a folder, not a file"))
    if not path.is_file():
        raise InputError(str(path), FileNotFoundError("there is no such file"))


def add_check(commands: Subcommands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("check", help="how far ahead a model looks, tested on the model itself")
    add_config_arguments(parser)
    parser.add_argument("--no-probe", action="store_true", help="only report, build no model")
    parser.set_defaults(run=run_check)


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments `config` and `overrides`, for every command that reads a model's config."""
    parser.add_argument("config", type=Path, help="a YAML config, composed as Hydra does, or a .nemo file")
    parser.add_argument("overrides", nargs="*", help="values of a YAML config, such as model.encoder.n_layers=2")


def run_check(args: argparse.Namespace) -> int:
    """Prints the report and the result of the probe.

    Returns:
        0 if the model is streaming, nothing moves that should not, and it hears nothing that its objective asks for;
        1 if not, 2 if the input cannot be read
    """
    try:
        return _check(args)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2


def _check(args: argparse.Namespace) -> int:
    config = load_config(args.config, args.overrides)
    report = read_report(args.config, config)
    print(report)
    adapters = _adapters_in_the_way(config)
    for adapter in adapters:
        print(f"adapters: {adapter} is enabled: a stream needs a LinearAdapter, or a disabled one")
    hears_answers = report.predicted is not None and report.predicted.problem is not None
    if args.no_probe or hears_answers:  # such a model cannot be built
        return 1 if report.violations or adapters or hears_answers else 0

    from nemo.collections.asr.parts.lookahead import probe_causality

    try:
        result = probe_causality(_build_model(args.config, config))
    except Exception as error:  # whatever a model's constructor may raise: it cannot be checked
        raise InputError(f"{args.config}: the model cannot be run", error) from error
    print(result)
    return 1 if report.violations or adapters or not result.ok else 0


def _adapters_in_the_way(config: Any) -> list[str]:
    """Enabled adapters of the encoder that no stream goes through."""
    adapters = dict((config.model if "model" in config else config).get("adapters") or {})
    return [
        f'{name} ({adapter._target_.rpartition(".")[2]})'
        for name, adapter in adapters.items()
        if adapter.get("enabled") and "_target_" in adapter and not adapter._target_.endswith(".LinearAdapter")
        if not name.startswith(("decoder:", "joint:"))
    ]


def load_config(path: Path, overrides: Sequence[str] = ()) -> Any:
    """The config of a YAML file, composed by Hydra with its `defaults` and overrides, or of a .nemo file.

    Raises:
        InputError: it cannot be read, or there are overrides for a .nemo file.
    """
    require_file(path)
    try:
        return _load_nemo_config(path, overrides) if path.suffix == ".nemo" else _compose(path, overrides)
    except Exception as error:  # Hydra, OmegaConf, YAML and tarfile have no common type
        raise InputError(str(path), error) from error


def read_report(path: Path, config: Any) -> "LookaheadReport":
    """`report_lookahead`, with an InputError for a config that it cannot read."""
    from nemo.collections.asr.parts.lookahead import report_lookahead

    try:
        return report_lookahead(config)
    except Exception as error:  # OmegaConf raises its own types for what is missing
        raise InputError(str(path), error) from error


def _compose(path: Path, overrides: Sequence[str]) -> Any:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(path.resolve().parent), version_base=None):
        return compose(path.name, overrides=list(overrides))


def _load_nemo_config(path: Path, overrides: Sequence[str]) -> Any:
    if overrides:
        raise ValueError(f"{overrides[0]}: the values of a .nemo file cannot be replaced")

    from nemo.core import ModelPT

    return ModelPT.restore_from(str(path), return_config=True)


def _build_model(path: Path, config: Any) -> Any:
    """The model of a .nemo file, or a new one without data: of an SSL config all of it, otherwise what is probed."""
    import torch

    from nemo.core import ModelPT
    from nemo.utils import logging

    torch.manual_seed(0)
    with logging.temp_verbosity(logging.ERROR):
        if path.suffix == ".nemo":
            return ModelPT.restore_from(str(path), map_location="cpu")
        return _new_model(_without_data(config))


def _without_data(config: Any) -> Any:
    from omegaconf import open_dict

    # a copy of all of it: values of the model may refer to values outside
    config = config.copy()
    model = config.model if "model" in config else config
    with open_dict(model):
        for name in DATA_SECTIONS:
            model.pop(name, None)
            model[name] = None
    return model


def _new_model(cfg: Any) -> Any:
    import torch
    from omegaconf import open_dict

    from nemo.collections.asr.models.ssl_models import EncDecDenoiseMaskedTokenPredModel
    from nemo.core.classes.common import Serialization

    if "masking" in cfg and "quantizer" in cfg:
        with open_dict(cfg):
            # the report has said what looks ahead; a model that claims to be streaming would refuse to be built
            cfg.allow_lookahead = True
        return EncDecDenoiseMaskedTokenPredModel(cfg)
    # CTC and RNN-T models need a tokenizer, which need not be there and does not matter here
    model = torch.nn.Module()
    model.cfg = cfg
    model.preprocessor = Serialization.from_config_dict(cfg.preprocessor)
    model.encoder = Serialization.from_config_dict(cfg.encoder)
    return model
