# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""docs/recognizer.md has the numbers of its CSVs, and no others."""

from pathlib import Path

import pytest

from benchmarks.speed.live_table import main

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.any_release
def test_the_tables_are_those_of_the_csvs(capsys):
    assert main() == 0
    made = [line for line in capsys.readouterr().out.splitlines() if line]
    page = (REPOSITORY / "docs/recognizer.md").read_text(encoding="utf-8").split("## Measured")[1]
    assert [line for line in page.splitlines() if line.startswith("|")] == made
