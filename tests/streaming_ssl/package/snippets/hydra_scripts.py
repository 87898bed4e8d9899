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

"""Runs an example script whose arguments Hydra reads, in this process: its own words, then sizes for one step."""

import ast
import importlib.util
from pathlib import Path
from typing import Sequence

from fences import ROOT
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser

# One step on the CPU; the rates of a schedule that has thousands of them do not matter.
ONE_STEP = """
    trainer.max_steps=1 trainer.accelerator=cpu trainer.devices=1 trainer.num_nodes=1 trainer.strategy=auto
    trainer.enable_progress_bar=false
    model.train_ds.num_workers=0 model.validation_ds.num_workers=0 model.train_ds.batch_size=2
    model.train_ds.pin_memory=false model.validation_ds.pin_memory=false
""".split()
TINY = """
    model.num_classes=64 model.encoder.d_model=16 model.encoder.n_layers=2 model.encoder.n_heads=4
    model.encoder.subsampling_conv_channels=8 model.encoder.att_context_size=[12,0]
""".split()
# What each config takes beside these: a fine-tuned encoder has the sizes of its checkpoint.
SIZES = {
    'nest_fast-conformer_streaming': TINY,
    'nest_hierarchical_streaming': [*TINY, 'model.hierarchical_context.schedule=[[0,[4,0]],[1,[12,0]]]'],
    'finetune_streaming_ctc': [],
    'finetune_streaming_rnnt': ['model.model_defaults.pred_hidden=8', 'model.model_defaults.joint_hidden=8'],
}


def load_script(path: Path):
    """The module of a script."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_hydra_script(path: Path) -> bool:
    return 'hydra_runner' in path.read_text(encoding='utf-8')


def config_of(path: Path) -> dict:
    """What the script's decorator says: `config_path` and `config_name`."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'hydra_runner':
            return {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
    raise ValueError(f'{path}: has no hydra_runner')


def small_overrides(path: Path, words: Sequence[str]) -> list:
    """What makes a command of a page one small step, to be put behind its own words."""
    name = get_args_parser().parse_args(list(words)).config_name or config_of(path)['config_name']
    return [*ONE_STEP, *SIZES[name]]


def run_hydra_script(path: Path, words: Sequence[str]) -> None:
    """Reads the words as Hydra does, composes the config, and calls the script's `main` with it."""
    given, decorator = get_args_parser().parse_args(list(words)), config_of(path)
    folder = (path.resolve().parent / (given.config_path or decorator['config_path'])).resolve()
    assert folder.is_relative_to(ROOT), f'{folder}: the pages use the shipped configs'
    with initialize_config_dir(str(folder), version_base=None):
        name = given.config_name or decorator['config_name']
        cfg = compose(name, overrides=[*given.overrides, *small_overrides(path, words)])
    load_script(path).main(cfg)
