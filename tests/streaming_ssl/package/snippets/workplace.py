# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""The folder that the commands and snippets of the pages run in: a checkout, with the files that the pages name."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import recognizer_models
import soundfile
import torch
from fences import ROOT
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel

RATE = 16000
CONFIGS = ROOT / 'examples/asr/conf/ssl/nest'
# As many layers as the shipped configs have, and as few values as possible in each.
NARROW = """
    model.num_classes=64 model.encoder.d_model=16 model.encoder.n_heads=4 model.encoder.ff_expansion_factor=2
    model.encoder.subsampling_conv_channels=8
""".split()
# Pretrained models by the names that pages give them, and the shipped config that each is made from.
PRETRAINED = {
    'pretrained.nemo': 'nest_hierarchical_streaming',
    'model.nemo': 'nest_fast-conformer_streaming',
    'x.nemo': 'nest_fast-conformer_streaming',
}
RECOGNIZER = 'asr.nemo'
TEXTS = ('one two', 'three four', 'five six', 'seven', 'two one', 'six')
MANIFESTS = (
    *('train', 'validation', 'test', 'noise', 'untranscribed', 'speech_train', 'speech_test'),
    *('S/untranscribed', 'S/train', 'S/test', 'S/noise'),
)
AUDIO = ('a.wav', 'b.flac')
SHARED = ('benchmarks', 'constraints', 'docs', 'examples')


def make_templates(folder: Path, nest_config) -> None:
    """The models and the audio that are the same for all pages."""
    for name, config in PRETRAINED.items():
        torch.manual_seed(0)
        EncDecDenoiseMaskedTokenPredModel(narrow_config(config)).save_to(str(folder / name))
    recognizer_models.build(nest_config, 'ctc').save_to(str(folder / RECOGNIZER))
    rng = np.random.default_rng(0)
    for name in MANIFESTS:
        write_manifest(folder / f'{name}.json', rng)
    for name in AUDIO:
        soundfile.write(folder / name, 0.1 * rng.standard_normal(RATE), RATE)


def narrow_config(name: str):
    """The model's section of a shipped config, with all of its layers and little in them."""
    with initialize_config_dir(str(CONFIGS), version_base=None):
        cfg = compose(name, overrides=[*NARROW, 'model.train_ds=null', 'model.validation_ds=null'])
    return OmegaConf.create(OmegaConf.to_container(cfg, resolve=True)).model


def write_manifest(path: Path, rng: np.random.Generator) -> None:
    """A manifest of noises with words, beside its audio."""
    path.parent.mkdir(exist_ok=True)
    lines = []
    for index, text in enumerate(TEXTS):
        name, seconds = f'{path.stem}{index}.wav', 1.2 + 0.1 * index
        soundfile.write(path.parent / name, 0.1 * rng.standard_normal(int(seconds * RATE)), RATE)
        lines.append(json.dumps({'audio_filepath': name, 'duration': seconds, 'text': text}))
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')


def make_workplace(folder: Path, templates: Path) -> None:
    """A folder of its own for one page: copies of what commands may change, and links to what they only read."""
    shutil.copytree(templates, folder, dirs_exist_ok=True)
    for name in SHARED:
        os.symlink(ROOT / name, folder / name, target_is_directory=True)
    for name in ('setup.py', 'Makefile'):
        os.symlink(ROOT / name, folder / name)
    shutil.copy(ROOT / 'benchmarks/results/speechocean.csv', folder / 'CSV')
    (folder / 'LEXICON').write_text('ONE\tW AH1 N\n')
