# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""docs/quality.md has the numbers of the CSV, and no others."""

from pathlib import Path

import pytest

from benchmarks.quality.corpora.tables import errors
from benchmarks.table import read_rows

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.any_release
def test_the_table_of_speechocean762_is_that_of_its_csv():
    rows = [row for row in read_rows(REPOSITORY / "benchmarks/results/speechocean.csv") if row["on"] == "test"]
    made = [line for line in errors("test", rows).splitlines() if line.startswith("|")]
    page = (REPOSITORY / "docs/quality.md").read_text(encoding="utf-8").split("### speechocean762")[1]
    written = [line for line in page.split("\n## ")[0].splitlines() if line.startswith("|")]
    assert written == made
