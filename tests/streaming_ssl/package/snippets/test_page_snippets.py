# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Every block of README, CONTRIBUTING and docs/*.md is run, in the order of the page, in one folder for each page."""

import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import torch
from page_blocks import FENCE, PAGES, ROOT, blocks, commands, run_block
from page_commands import run_pipe

from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel
from nemo_streaming_ssl import cli

# Pages with several trainings.
SLOW = ("training.md", "export.md", "streaming.md", "contexts.md")
# Commands that run elsewhere: of forks.md on a real fork, in a step of the matrix; of recognizer.md below.
FORKS, LIFECYCLE = ROOT / "docs/forks.md", ROOT / "tests/fork_lifecycle.py"
FIVE = next(block for block in blocks(ROOT / "docs/recognizer.md") if block.language == "sh")
SPAN = re.compile(r"(?<!`)`((?:make|nemo-streaming-ssl) [^`]+)`(?!`)")
# No command: what export folders say that they hold.
FORMAT = "nemo-streaming-ssl streaming step"


def marked(page):
    return pytest.param(page, id=page.name, marks=[pytest.mark.long_run] * (page.name in SLOW))


def spans() -> list:
    """Each command in the prose of the pages, once."""
    prose = (FENCE.sub("", page.read_text(encoding="utf-8")) for page in PAGES)
    return sorted({" ".join(span.split()) for text in prose for span in SPAN.findall(text)} - {FORMAT})


@pytest.mark.parametrize("page", [marked(page) for page in PAGES if blocks(page)])
def test_every_block_of_a_page_runs(page, workplace):
    names = {"__name__": page.stem}
    for block in blocks(page):
        if block != FIVE and (page, block.language) != (FORKS, "sh"):
            run_block(block, names)


@pytest.mark.long_run
def test_the_five_commands_of_the_recognizer_write_the_same_text_twice(workplace):
    def texts(printed: str) -> dict:
        return dict(line.split(":", 1) for line in printed.splitlines() if line.startswith("validation_"))

    _, _, streamed, _, from_graph = (texts(run_pipe(*command)) for command in commands(FIVE))
    assert {"model.onnx", "model.json", "features.npz"} <= {file.name for file in Path("exported").iterdir()}
    names = [Path(json.loads(line)["audio_filepath"]).stem for line in Path("S/test.json").open()]
    assert len(names) > 1 and sorted(streamed) == sorted(names)
    assert streamed == from_graph and any(map(str.strip, streamed.values()))


def test_the_shipped_sizes_fit_together(compose_config):
    """The configs of the pages' folder have others. One layer is like the next."""
    small = ("model.train_ds=null", "model.validation_ds=null", "model.encoder.n_layers=1")
    cfg = compose_config("nest_fast-conformer_streaming", *small).model
    model = EncDecDenoiseMaskedTokenPredModel(cfg).eval()
    features, _ = model.encoder(audio_signal=torch.zeros(1, 80, 64), length=torch.tensor([64]))
    assert features.shape[1] == cfg.encoder.d_model


@pytest.mark.any_release
def test_commands_that_run_elsewhere_are_below_titles_that_run_there():
    lifecycle = runpy.run_path(str(LIFECYCLE))
    sections = FORKS.read_text(encoding="utf-8").split("\n## ")[1:]
    assert lifecycle["PAGE"] == FORKS
    assert [text.partition("\n")[0] for text in sections if "```sh" in text] == list(lifecycle["CHECKS"])
    assert all(text.count("```sh") <= 1 for text in sections)


@pytest.mark.any_release
@pytest.mark.parametrize("span", spans())
def test_a_command_that_the_prose_names_is_there(span, monkeypatch):
    """The target is there, or our command takes the words; one without words has its help."""
    monkeypatch.setattr(cli, "_parse", lambda parser, words: parser.parse_args(words) and sys.exit())
    words = shlex.split(span.replace("COMMAND", "check"))
    run_pipe(span, [words if words[2:] or words[0] == "make" else [*words, "--help"]])
