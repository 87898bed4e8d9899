# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The folder that a page's blocks run in: a checkout, with the files that the pages name and small models."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import soundfile
import torch
from hydra import compose, initialize_config_dir

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel
from nemo.utils import logging

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
sys.path.append(str(HERE))

pytest.register_assert_rewrite("page_blocks", "page_commands")

import make_demo_data  # noqa: E402
import recognizer_models  # noqa: E402

# What the configs of the folder say in place of the shipped values: as many layers, and as little else as possible.
SMALL = {
    **{"num_classes": 64, "d_model": 16, "n_heads": 4, "ff_expansion_factor": 2, "subsampling_conv_channels": 8},
    **{"batch_size": 2, "num_workers": 0, "pin_memory": "false", "accelerator": "cpu", "enable_progress_bar": "false"},
}
# A file that was changed since NeMo's tag of a release, whose name pages write as UPSTREAM.
FILE = "nemo/collections/asr/parts/utils/streaming_utils.py"
REPOSITORY = f"""
    set -e; git init -q; mkdir -p {Path(FILE).parent}; echo upstream >{FILE}; git add {FILE}
    git -c user.name=fork -c user.email=fork@example.org commit -qm one; git tag UPSTREAM; echo changed >{FILE}
"""


@pytest.fixture(scope="session")
def template(tmp_path_factory, nest_config):
    """What all pages find."""
    folder = tmp_path_factory.mktemp("template")
    write_speech(folder / "S")
    shutil.copytree(folder / "S", folder, dirs_exist_ok=True)
    for name in ("benchmarks", "constraints", "docs", "setup.py", "Makefile"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copy(ROOT / "benchmarks/results/speechocean.csv", folder / "CSV")
    (folder / "LEXICON").write_text("ONE\tW AH1 N\n")
    write_models(folder, folder / "examples/asr/conf/ssl/nest")
    recognizer_models.build(nest_config, "ctc").save_to(str(folder / "asr.nemo"))
    subprocess.run(REPOSITORY, shell=True, cwd=folder, check=True, timeout=60)
    return folder


def write_speech(folder: Path) -> None:
    """Speech of the demo's synthesiser, by the names that pages give manifests and audio."""
    make_demo_data.make_demo_data(folder, minutes=0.3, seed=0, synthesizer="builtin")
    for copy, name in (("speech_train", "train"), ("speech_test", "validation"), ("test", "validation")):
        shutil.copy(folder / f"{name}.json", folder / f"{copy}.json")
    lines = [json.loads(line) for line in (folder / "train.json").read_text().splitlines()]
    untranscribed = [json.dumps({key: line[key] for key in ("audio_filepath", "duration")}) for line in lines]
    (folder / "untranscribed.json").write_text("\n".join(untranscribed))
    audio = soundfile.read(folder / lines[0]["audio_filepath"])
    for name in ("a.wav", "b.flac"):
        soundfile.write(folder / name, *audio)


def write_models(folder: Path, configs: Path) -> None:
    """Makes the configs small, and models of one, by the names that pages give pretrained models."""
    for file in configs.glob("*.yaml"):
        text = file.read_text()
        for key, value in SMALL.items():
            text = re.sub(rf"^( +{key}:) \w+", rf"\1 {value}", text, flags=re.MULTILINE)
        file.write_text(text)
    with initialize_config_dir(str(configs), version_base=None):
        cfg = compose("nest_hierarchical_streaming", ["model.train_ds=null", "model.validation_ds=null"])
    torch.manual_seed(0)
    for name in ("pretrained.nemo", "model.nemo", "x.nemo"):
        EncDecDenoiseMaskedTokenPredModel(cfg.model).save_to(str(folder / name))


@pytest.fixture
def workplace(tmp_path, template, monkeypatch):
    """A copy for one page; what scripts set for their process is put back."""
    shutil.copytree(template, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with mock.patch.dict(os.environ), logging.temp_verbosity(logging.get_verbosity()):
        yield tmp_path
    for number, handler in handlers.items():
        signal.signal(number, handler)
