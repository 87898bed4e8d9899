# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The fenced blocks of README and docs, and what is done with each, by its language."""

import re
import shlex
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import torch
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from page_commands import ROOT, run_pipe

from nemo.collections.asr.parts.lookahead import report_lookahead
from nemo.collections.asr.parts.manifests.lines import Entry, parse_entry
from nemo.collections.asr.parts.utils.ssl_config import OPEN_SECTIONS
from nemo.utils.options import OPTIONS

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^([ \t]*)(`{3,})([^\n`]*)\n(.*?)^[ \t]*\2[ \t]*$", re.MULTILINE | re.DOTALL)
# A line, with those that it goes on in behind a backslash.
LINE = re.compile(r"(?:.*\\\n)*.+")
JOINING = {"||", "&", "&&", ";", "<", ">", ">>"}
# A command of a console block, and the lines that are shown below it.
SESSION = re.compile(r"^\$ (.*\n)((?:(?!\$ ).*\n)*)", re.MULTILINE)
CONFIGS = ROOT / "examples/asr/conf/ssl/nest"
# Keys that a shipped config need not have: ours, and one of NeMo's that ModelPT reads.
SECTIONS = {section.partition(".")[2]: dict.fromkeys(OPTIONS[section]) for section in OPEN_SECTIONS}
OTHER_KEYS = {"model": {**SECTIONS.pop(""), **SECTIONS}, "init_from_nemo_model": None}


class Block(NamedTuple):
    """A fenced block: the page, the line that its text begins at, and the word behind the backticks."""

    page: Path
    line: int
    language: str
    text: str

    def place(self, start: int = 0) -> str:
        """The page and its line on which a character of the text is."""
        return f"{self.page.name}:{self.line + self.text.count(chr(10), 0, start)}"


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, match.start(4)) + 1, match[3].partition(" ")[0], textwrap.dedent(match[4]))
        for match in FENCE.finditer(text)
    ]


def commands(block: Block) -> Iterator[tuple[str, list[list[str]]]]:
    """The place of each command of a shell block, and the words of each program of its pipe."""
    for match in LINE.finditer(block.text):
        lexer = shlex.shlex(match[0].replace("\\\n", " "), posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words = list(lexer)
        assert JOINING.isdisjoint(words), f"{block.place(match.start())}: only pipes join the commands of the pages"
        if words:
            yield block.place(match.start()), [
                list(program) for pipe, program in groupby(words, "|".__eq__) if not pipe
            ]


def run_block(block: Block, names: dict) -> None:
    """Runs or checks a block, or only shows it; what is in braces is for the site, whose build is a test."""
    if block.language in SHOWN or block.language.startswith("{"):
        return
    what_to_do = f"write one of {[*RULES, *SHOWN]} behind the backticks, or add a rule in page_blocks.py"
    assert block.language in RULES, f"{block.place()}: {block.language!r}: {what_to_do}"
    RULES[block.language](block, names)


def run_python(block: Block, names: dict) -> None:
    """Runs a block as it stands, with the names that earlier ones of the page have left.

    An error points to the line of the page.
    """
    lines = "\n" * (block.line - 1) + block.text
    with torch.enable_grad():
        exec(compile(lines, str(block.page), "exec"), names)


def run_shell(block: Block, names: dict) -> None:
    """Runs each command."""
    for place, pipe in commands(block):
        run_pipe(place, pipe)


def check_console(block: Block, names: dict) -> None:
    """Each command prints the lines that are shown below it; `...` stands for any lines."""
    for match in SESSION.finditer(block.text):
        place, ((_, pipe),) = block.place(match.start()), commands(block._replace(text=match[1]))
        shown, printed = (re.sub(r"^\n", "", text, flags=re.MULTILINE) for text in (match[2], run_pipe(place, pipe)))
        parts = re.split(r"^\.\.\.\n", shown, flags=re.MULTILINE)
        fits = re.fullmatch(r"(?:.*\n)*".join(map(re.escape, parts)), printed)
        assert fits, f"{place}: {match[1]}does not print\n{shown}but\n{printed}"


def check_yaml(block: Block, names: dict) -> None:
    """Each key is known; merged into a shipped config, nothing looks ahead."""
    given = yaml.safe_load(block.text)
    try:
        OmegaConf.merge(all_keys(), given)
    except Exception as error:
        raise AssertionError(f"{block.place()}: no shipped config has it: {error}") from error
    report = report_lookahead(OmegaConf.merge(shipped("nest_hierarchical_streaming"), given))
    assert not report.violations, f"{block.place()}: {report}"


def shipped(name: str) -> DictConfig:
    """A shipped config, to which any key may be added."""
    with initialize_config_dir(str(CONFIGS), version_base=None):
        return OmegaConf.create(OmegaConf.to_container(compose(name)))


@lru_cache
def all_keys() -> DictConfig:
    """All shipped configs in one that takes no other keys."""
    config = OmegaConf.merge(OTHER_KEYS, *(shipped(file.stem) for file in CONFIGS.glob("*.yaml")))
    OmegaConf.set_struct(config, True)
    return config


def check_json(block: Block, names: dict) -> None:
    """Each line is one of a manifest."""
    for match in re.finditer(".+", block.text):
        entry = parse_entry("manifest_filepath", 1, match[0])
        assert isinstance(entry, Entry), f"{block.place(match.start())}: {entry}"


RULES = {"sh": run_shell, "python": run_python, "console": check_console, "yaml": check_yaml, "json": check_json}
SHOWN = ("text", "mermaid")
