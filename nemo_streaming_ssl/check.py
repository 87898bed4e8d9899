# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`nemo-streaming-ssl check`: how far ahead a model looks, and a test on the model that it looks no further."""

import argparse
from pathlib import Path
from typing import Any

from nemo_streaming_ssl.inputs import (
    InputError,
    Subcommands,
    add_config_arguments,
    load_config,
    model_section,
    read_report,
)

DATA_SECTIONS = ("train_ds", "validation_ds", "test_ds")


def add_check(commands: Subcommands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("check", help="how far ahead a model looks, tested on the model itself")
    add_config_arguments(parser)
    parser.add_argument("--no-probe", action="store_true", help="only report, build no model")
    parser.set_defaults(run=run_check)


def run_check(args: argparse.Namespace) -> int:
    """Prints the report and the result of the probe.

    Returns:
        0 if the model is streaming, nothing moves that should not, and it hears nothing that its objective asks for;
        1 if not

    Raises:
        InputError: the input cannot be read
    """
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
    adapters = dict(model_section(config).get("adapters") or {})
    return [
        f'{name} ({adapter._target_.rpartition(".")[2]})'
        for name, adapter in adapters.items()
        if adapter.get("enabled") and "_target_" in adapter and not adapter._target_.endswith(".LinearAdapter")
        if not name.startswith(("decoder:", "joint:"))
    ]


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
    model = model_section(config.copy())
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
