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

"""The five commands of docs/recognizer.md, each in a process of its own: from speech to text from a graph."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fences import ROOT, commands, fences
from hydra_scripts import is_hydra_script, small_overrides

HERE = Path(__file__).resolve().parent

pytest.importorskip('onnxruntime')

PAGE = ROOT / 'docs/recognizer.md'
DEMO = ROOT / 'examples/asr/speech_pretraining/demo'
# What each command leaves, at the places that the page names.
LEFT = (
    ['runs/ssl/checkpoints/ssl.nemo'],
    ['runs/asr/checkpoints/asr.nemo'],
    [],
    ['exported/model.onnx', 'exported/model.json', 'exported/features.npz'],
    [],
)


def make_speech(folder: Path):
    """Speech of the demo's synthesiser, with the manifests that the page names."""
    sys.path.insert(0, str(DEMO))
    try:
        demo = importlib.import_module('make_demo_data')
    finally:
        sys.path.remove(str(DEMO))
    demo.make_demo_data(folder, minutes=0.3, seed=0, synthesizer='builtin')
    (folder / 'validation.json').rename(folder / 'test.json')
    lines = [json.loads(line) for line in (folder / 'train.json').read_text().splitlines()]
    untranscribed = [json.dumps({key: line[key] for key in ('audio_filepath', 'duration')}) for line in lines]
    (folder / 'untranscribed.json').write_text('\n'.join(untranscribed))


def run(words: list, folder: Path) -> str:
    """Runs a command as it stands, but for the sizes of training; what it printed to standard output."""
    program = {'python': [], 'nemo-streaming-ssl': ['-m', 'nemo_streaming_ssl']}[words[0]]
    small = small_overrides(folder / words[1], words[2:]) if is_training(folder / words[1]) else []
    done = subprocess.run(
        [sys.executable, *program, *words[1:], *small],
        cwd=folder,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f'{words}\n{done.stderr[-3000:]}'
    return done.stdout


def is_training(path: Path) -> bool:
    return path.suffix == '.py' and is_hydra_script(path)


def texts(printed: str) -> dict:
    """The text of each file, from lines `name: text`."""
    names = [line.partition(': ') for line in printed.splitlines() if line.startswith('validation_')]
    return {name.rstrip(':'): text for name, _, text in names}


@pytest.mark.long_run
def test_each_uses_what_the_one_before_has_left(tmp_path):
    make_speech(tmp_path / 'S')
    os.symlink(ROOT / 'examples', tmp_path / 'examples', target_is_directory=True)
    block = next(fence for fence in fences(PAGE) if fence.language == 'sh')
    found = [command.pipe[0] for command in commands(block)]
    assert len(found) == len(LEFT)
    printed = []
    for words, files in zip(found, LEFT):
        printed.append(run(words, tmp_path))
        assert [name for name in files if not (tmp_path / name).is_file()] == []
    test = [json.loads(line) for line in (tmp_path / 'S/test.json').read_text().splitlines()]
    streamed, from_graph = texts(printed[2]), texts(printed[4])
    assert set(streamed) == {Path(line['audio_filepath']).stem for line in test} and len(test) > 1
    assert streamed == from_graph and any(streamed.values())
