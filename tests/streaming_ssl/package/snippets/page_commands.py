# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What is done with each command of a shell block, by its program.

Commands run in this process, where NeMo is imported once. What would need a network, a microphone, other machines,
minutes or hours is only checked, as the rules say.
"""

import argparse
import contextlib
import io
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from aiohttp import web
from packaging.requirements import Requirement
from pip._internal.commands import create_command
from torch.distributed.run import get_args_parser

from benchmarks import malloc
from benchmarks.quality import __main__ as quality
from benchmarks.quality.corpora import options, plan
from benchmarks.quality.synthetic import options as synthetic
from nemo_streaming_ssl import cli

ROOT = Path(__file__).resolve().parents[4]
# What `...` stands for in the commands of docs/training.md.
MANIFESTS = """
    model.train_ds.manifest_filepath=train.json model.train_ds.noise_manifest=noise.json
    model.validation_ds.manifest_filepath=validation.json
""".split()
# Stands behind the words of each training.
ONE_STEP = "trainer.max_steps=1 trainer.devices=1 trainer.num_nodes=1 trainer.strategy=auto".split()

Words = list[str]


def run_pipe(place: str, pipe: list[Words]) -> str:
    """Follows the rule of each program of a pipe; what they printed. Standard input has a second of noise."""
    noise = np.random.default_rng(0).integers(-3000, 3000, 16000 * (len(pipe) > 1)).astype("<i2").tobytes()
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(noise)))
        for words in pipe:
            where = f"{place}: {shlex.join(words)}"
            try:
                code = rule_of(words[0].removeprefix(".venv/bin/"))(words[1:])
            except SystemExit as end:
                code = end.code
            except Exception as error:
                raise AssertionError(f"{where}\n{type(error).__name__}: {error}") from error
            assert not code, f"{where}\nexit code {code}"
    return printed.getvalue()


def rule_of(name: str) -> Callable[[Words], object]:
    """What takes the words of a program and returns its exit code."""
    assert name in RULES, f"no rule for {name}, add one to RULES in {Path(__file__).relative_to(ROOT)}"
    return RULES[name]


def compare(expected: str, words: Words) -> None:
    """The words are these: the program does not run here."""
    assert " ".join(words) == expected


def check_pip(words: Words) -> None:
    """pip's own parser reads the words, and the files that are named are there."""
    given, requirements = create_command(words[0]).parse_args(words[1:])
    paths = [*getattr(given, "constraints", []), *getattr(given, "editables", []), *given.requirements]
    assert [path for path in paths if not Path(path).exists()] == []
    assert all(requirement == "." or Requirement(requirement) for requirement in requirements)


def check_quality(words: Words):
    """The report of a CSV is made; options of runs, and their plan, are read."""
    if "--report" in words:
        return quality.main(words)
    if "--plan" in words:
        assert plan.read_plan(options.read_options(words).plan).runs
    else:
        synthetic.read_options(words)


def run_python(words: Words):
    """`python -m MODULE` and `python SCRIPT`."""
    if words[0] == "-m":
        is_ours = words[1].startswith("benchmarks.") and words[1] not in RULES
        return check_parser(*words[1:]) if is_ours else rule_of(words[1])(words[2:])
    if not words[0].startswith("tests/"):
        return run_script(Path(words[0]), words[1:])
    # takes minutes
    assert words[0] in (ROOT / "tests/matrix.py").read_text(encoding="utf-8"), "no step of tests/matrix.py"


def check_parser(module: str, *words: str) -> None:
    """Starts a module of `benchmarks` and stops as soon as its parser has read the words."""
    parse_args = argparse.ArgumentParser.parse_args

    def stop(self, *arguments):
        parse_args(self, *arguments)
        raise SystemExit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        patch.setattr(sys, "argv", [module, *words])
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    raise AssertionError("has no parser of arguments")


def run_script(path: Path, words: Words) -> None:
    """Runs a script; a training makes one step, a server is made and not started."""
    if "hydra_runner" in path.read_text(encoding="utf-8"):
        words = [part for word in words for part in (MANIFESTS if word == "..." else [word])] + ONE_STEP
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(path), *words])
        patch.setenv("HYDRA_FULL_ERROR", "1")  # raises, and prints nothing
        for module in ("hydra._internal.hydra", "hydra.core.utils"):
            patch.setattr(f"{module}.configure_log", lambda *settings: None)  # would close pytest's handlers
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setattr(web, "run_app", lambda app, **address: None)
        patch.syspath_prepend(ROOT / path.parent)
        if "--mic" in words:  # no microphone is here: the words are parsed
            runpy.run_path(str(path))["parse_arguments"](words)
        else:
            runpy.run_path(str(path), run_name="__main__")


def run_torchrun(words: Words):
    """torchrun's own parser reads the words; the script runs once, as one process."""
    given = get_args_parser().parse_args(words)
    return run_python([given.training_script, *given.training_script_args])


RULES: dict[str, Callable[[Words], object]] = {
    "nemo-streaming-ssl": cli.main,
    "python": run_python,
    "torchrun": run_torchrun,
    "srun": lambda words: rule_of(words[0])(words[1:]),
    "make": lambda words: subprocess.run(["make", "--dry-run", "--directory", ROOT, *words], timeout=60).returncode,
    "git": lambda words: subprocess.run(["git", *words], timeout=60).returncode,
    "arecord": partial(compare, "-q -t raw -f S16_LE -r 16000 -c 1"),  # what streaming_inference_example.py takes
    "export": partial(compare, " ".join(f"{name}={value}" for name, value in malloc.TUNED.items())),
    "pre-commit": partial(compare, "install"),
    # also as modules
    "pip": check_pip,
    "pytest": lambda words: not all((ROOT / word).exists() for word in words if word[0] != "-"),
    "benchmarks.quality": check_quality,
}
