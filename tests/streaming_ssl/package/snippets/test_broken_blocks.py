# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A block that is wrong fails, and says where and why."""

from textwrap import indent

import pytest
from page_blocks import blocks, run_block

BROKEN = [
    ("rust", "fn main() {}", "write one of"),
    ("console", "$ nemo-streaming-ssl --version\n0.0.0", "does not print"),
    ("json", '{"audio": "a.wav"}', "no .audio_filepath"),
    ("yaml", "model: {hierarchical_context: {no_such_key: 1}}", "no_such_key"),
    ("yaml", "model: {hierarchical_context: {schedule: [[0, [40, 4]]]}}", "ahead"),
    ("sh", "rm -r folder", "add one to RULES in .*page_commands.py"),
    ("sh", "python -m json.tool", "add one to RULES in .*page_commands.py"),
    ("sh", "make demo && make test", "only pipes"),
    ("sh", "make \\\n    no-such-target  # a comment", "exit code 2"),
    ("sh", "git no-such-command", "exit code 1"),
    ("sh", "python tests/no_such_step.py", "no step of"),
    ("sh", "pip install -r no-such-file.txt", "no-such-file.txt"),
    ("sh", 'pip install "a b c"', "a b c"),
    ("sh", "arecord -r 8000 | python -", "arecord -r 8000"),
    ("sh", "nemo-streaming-ssl status --no-such-flag", "exit code 2"),
    ("sh", "torchrun --no-such-flag script.py", "exit code 2"),
    ("sh", "python -m benchmarks.speed.masking --no-such-flag", "exit code 2"),
    ("sh", "python -m benchmarks.quality --steps 0", "exit code 2"),
]


def run(folder, language, text):
    """Runs a block that is in a list and begins in line 4 of its page."""
    fence = indent(f"```{language}\n{text}\n```\n", "   ")
    (folder / "page.md").write_text(f"1. in a list\n\n{fence}")
    run_block(*blocks(folder / "page.md"), {})


@pytest.mark.parametrize("language, text, why", BROKEN)
def test_it_says_where_and_why(language, text, why, tmp_path):
    with pytest.raises(AssertionError, match=rf"(?s)page.md:4.*{why}"):
        run(tmp_path, language, text)


def test_python_fails_at_its_line(tmp_path):
    with pytest.raises(NameError) as caught:
        run(tmp_path, "python", "known = 1\nunknown")
    assert caught.traceback[-1].lineno + 1 == 5
