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

"""What is done with each command of a shell block, by its program.

Commands run in this process, in a folder that has the files they name. Some are only checked, as far as that is cheap:

- `make`: a dry run, so the target is there. The matrix runs `make demo`; `make test` is what runs this.
- `pip`: pip's own parser reads the words, and the files that are named are there. Installing needs a network.
- `torchrun`, `srun`: torchrun's own parser; the script runs once, as one process. `distributed/` has two ranks.
- `python -m benchmarks...`: runs up to its parser. Measuring takes hours; tests in `benchmarks/` do it in tiny sizes.
- `python tests/...` is a step of the matrix; `pytest`: the paths are there.
- `arecord`: its words are compared, and the test gives the audio. `--mic`: the script's parser; no microphone is here.
- `git`: runs in a repository of the test. docs/forks.md runs on a real fork: `tests/fork_lifecycle.py`, in the matrix.
"""

import argparse
import contextlib
import io
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Callable, Dict, List

import numpy as np
import pytest
import yaml
from fences import ROOT, Command, Words
from hydra_scripts import is_hydra_script, load_script, run_hydra_script
from packaging.requirements import Requirement

from benchmarks import malloc

HOW_TO_ADD = 'no rule for it: add one to RULES in tests/streaming_ssl/package/snippets/shell_rules.py'
# 16-bit mono PCM at the rate of the shipped configs, without a header: what streaming_inference_example.py takes.
ARECORD = 'arecord -q -t raw -f S16_LE -r 16000 -c 1'.split()
# Commands of tests/ that take minutes, each a step of tests/matrix.py.
STEPS_OF_MATRIX = (ROOT / 'tests/matrix.py').read_text(encoding='utf-8')
# Variables that are no concern of malloc, by name: the values that pages give them.
VARIABLES: Dict[str, tuple] = {'NEMO_STREAMING_SSL': ('off',)}


def run_command(command: Command) -> str:
    """Runs or checks a command by its rule; what it printed."""
    printed, piped = io.StringIO(), None
    try:
        for words in command.pipe:
            rule = RULES.get(Path(words[0]).name if words[0].startswith('.venv/bin/') else words[0])
            if rule is None:
                raise AssertionError(f'{words[0]}: {HOW_TO_ADD}')
            with contextlib.redirect_stdout(printed), standard_input(piped):
                piped = rule(words[1:])
    except (Exception, SystemExit) as error:
        raise AssertionError(f'{command.place}\n{type(error).__name__}: {error}') from error
    return printed.getvalue()


@contextlib.contextmanager
def standard_input(data):
    """What a program before this one has written, if there was one."""
    before = sys.stdin
    if data is not None:
        sys.stdin = SimpleNamespace(buffer=io.BytesIO(data))
    try:
        yield
    finally:
        sys.stdin = before


def require(code, what) -> None:
    if code:
        raise AssertionError(f'{what}: exit code {code}')


def run_ours(words: Words) -> None:
    """`nemo-streaming-ssl`."""
    from nemo_streaming_ssl.cli import main

    narrow = 'model.encoder.d_model=16 model.encoder.n_heads=4 model.num_classes=64'.split()
    # the probe of a checked config runs a model, which can be narrow: contexts and look-ahead do not depend on it
    require(main([*words, *(narrow if words[0] == 'check' and words[1].endswith('.yaml') else [])]), words[0])


def check_make(words: Words) -> None:
    """`make TARGET`."""
    done = subprocess.run(
        ['make', '--dry-run', '--directory', ROOT, *words], capture_output=True, text=True, timeout=60
    )
    require(done.returncode, done.stderr)


def check_pip(words: Words) -> None:
    """`pip install` and `pip uninstall`."""
    from pip._internal.commands import create_command

    options, requirements = create_command(words[0]).parse_args(words[1:])
    for path in [*getattr(options, 'constraints', []), *options.requirements]:
        assert Path(path).is_file(), path
    for folder in getattr(options, 'editables', []):
        assert (Path(folder) / 'setup.py').is_file(), folder
    for requirement in requirements:
        assert requirement == '.' or Requirement(requirement)


def check_export(words: Words) -> None:
    """`export NAME=VALUE`: the settings of malloc, or variables of ours."""
    for word in words:
        name, _, value = word.partition('=')
        assert value == malloc.TUNED.get(name) or value in VARIABLES.get(name, ()), word


def make_sound(words: Words) -> bytes:
    """`arecord`: a second of noise in its place."""
    assert ['arecord', *words] == ARECORD
    return np.random.default_rng(0).integers(-3000, 3000, 16000).astype('<i2').tobytes()


def run_python(words: Words) -> None:
    """`python -m MODULE` and `python SCRIPT`."""
    if words[0] == '-m':
        check_module(words[1], words[2:])
    elif words[0].startswith('tests/'):
        assert words[0] in STEPS_OF_MATRIX, f'{words[0]}: is no step of the matrix'
    elif is_hydra_script(Path(words[0])):
        run_hydra_script(Path(words[0]), replace_dots(words[1:]))
    else:
        SCRIPTS[Path(words[0]).name](Path(words[0]), words[1:])


def replace_dots(words: Words) -> Words:
    """Puts manifests in the place of the `...` that docs/training.md writes for them."""
    manifests = 'model.train_ds.manifest_filepath=train.json model.train_ds.noise_manifest=noise.json'
    manifests += ' model.validation_ds.manifest_filepath=validation.json'
    return [part for word in words for part in (manifests.split() if word == '...' else [word])]


class Parsed(BaseException):
    """A module has read its arguments; a BaseException, so that no module takes it for an error of its own."""


def check_module(name: str, words: Words) -> None:
    """Starts a module of `benchmarks` and stops it as soon as its parser has read the words."""
    if name in MODULES:
        MODULES[name](words)
        return
    assert name.startswith('benchmarks.'), f'python -m {name}: {HOW_TO_ADD}'
    parse_args = argparse.ArgumentParser.parse_args

    def stop(self, *arguments):
        parse_args(self, *arguments)
        raise Parsed

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Parsed), help_is_fine(words):
        patch.setattr(argparse.ArgumentParser, 'parse_args', stop)
        patch.setattr(sys, 'argv', [name, *words])
        runpy.run_module(name, run_name='__main__', alter_sys=True)
        raise AssertionError(f'python -m {name}: has no parser of arguments')


def help_is_fine(words: Words):
    """`--help` ends a program."""
    return contextlib.suppress(SystemExit) if '--help' in words else contextlib.nullcontext()


def check_quality(words: Words) -> None:
    """`python -m benchmarks.quality`: the report of a CSV is made; options of runs, and their plan, are read."""
    from benchmarks.quality.corpora import command, options, plan
    from benchmarks.quality.synthetic import options as synthetic

    if '--report' in words:
        require(command.main(words), 'benchmarks.quality')
    elif command.is_meant(words):
        assert plan.read_plan(options.read_options(words).plan).runs
    else:
        with help_is_fine(words):
            synthetic.read_options(words)


def check_pytest(words: Words) -> None:
    """`python -m pytest PATHS`: the paths are there."""
    for word in words:
        assert word.startswith('-') or (ROOT / word).exists(), word


MODULES: Dict[str, Callable[[Words], None]] = {
    'benchmarks.quality': check_quality,
    'pip': check_pip,
    'pytest': check_pytest,
}


def check_torchrun(words: Words) -> None:
    """`torchrun`: its words are parsed, and the script runs as one process."""
    from torch.distributed.run import get_args_parser

    given = get_args_parser().parse_args(words)
    run_python([given.training_script, *given.training_script_args])


def stream_files(path: Path, words: Words) -> None:
    """streaming_inference_example.py; with `--mic` only its arguments are parsed."""
    sys.path.insert(0, str(path.resolve().parent))
    try:
        script = load_script(path)
        if '--mic' in words:
            script.parse_arguments(words)
        else:
            require(script.main([*words, '--device', 'cpu', '--threads', '1']), path.name)
    finally:
        sys.path.remove(str(path.resolve().parent))


def make_page(path: Path, words: Words) -> None:
    """live_recognizer.py: the server is made, and not started."""
    script = load_script(path)
    assert script.make_app(script.open_model(script.parse_arguments(words)))


SCRIPTS: Dict[str, Callable[[Path, Words], None]] = {
    'streaming_inference_example.py': stream_files,
    'live_recognizer.py': make_page,
}


def check_pre_commit(words: Words) -> None:
    """`pre-commit`: a hook would be installed into a repository; here its configuration is read."""
    assert words == ['install'] and yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos']


def run_git(words: Words) -> None:
    """`git` in the repository that a page's folder is."""
    assert Path('.git').is_dir(), 'the folder of this page is no repository'
    done = subprocess.run(['git', *words], capture_output=True, text=True, timeout=60)
    require(done.returncode, done.stderr)


RULES: Dict[str, Callable[[List[str]], object]] = {
    'nemo-streaming-ssl': run_ours,
    'make': check_make,
    'pip': check_pip,
    'export': check_export,
    'arecord': make_sound,
    'python': run_python,
    'torchrun': check_torchrun,
    'srun': lambda words: RULES[words[0]](words[1:]),
    'git': run_git,
    'pre-commit': check_pre_commit,
}
