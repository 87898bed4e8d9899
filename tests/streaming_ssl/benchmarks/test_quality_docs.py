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

"""docs/quality.md has the numbers of the CSV, and no others."""

from pathlib import Path

import pytest

from benchmarks.quality.corpora.results import read_rows
from benchmarks.quality.corpora.tables import errors

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.any_release
def test_the_table_of_speechocean762_is_that_of_its_csv():
    rows = [row for row in read_rows(REPOSITORY / 'benchmarks/results/speechocean.csv') if row['on'] == 'test']
    made = [line for line in errors('test', rows).splitlines() if line.startswith('|')]
    page = (REPOSITORY / 'docs/quality.md').read_text(encoding='utf-8').split('### speechocean762')[1]
    written = [line for line in page.split('\n## ')[0].splitlines() if line.startswith('|')]
    assert written == made
