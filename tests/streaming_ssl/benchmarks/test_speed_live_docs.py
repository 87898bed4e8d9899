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
