# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The benchmark of streaming: one tiny run against NeMo's loop, its rows, and which of them a new run replaces."""


import pytest

from benchmarks import table
from benchmarks.speed import streaming

SIZES = "--d-model 16 --heads 2 --layers 1 --threads 1 --device cpu --streams 1 --seconds 10 --output".split()


@pytest.fixture
def rows_of(tmp_path, monkeypatch):
    """Runs the command with some flags and returns the rows of its CSV, which keeps those of earlier runs."""
    monkeypatch.setattr(streaming, "CONTEXTS", (("regular", [4, 0]),))
    monkeypatch.setattr(streaming, "CUTS", (2,))
    path = tmp_path / "streaming.csv"

    def run(*flags):
        assert streaming.main([*SIZES, str(path), *flags]) == 0
        return table.read_rows(path)

    return run


@pytest.mark.long_run
class TestStreamingBenchmark:
    def test_rows_of_both_sides_and_of_the_front_end(self, rows_of):
        rows = rows_of()
        assert [(row["side"], row["front_end"]) for row in rows] == [
            ("session", "False"),
            ("nemo", "False"),
            ("session", "True"),
        ]
        for row in rows:
            assert 0 < float(row["wall_p20_ms"]) <= float(row["wall_p50_ms"]) <= float(row["wall_p80_ms"])
            assert float(row["real_time_factor"]) > 0 and row["torch"] and row["nemo"] and row["layers"] == "1"
            assert row["side"] == "nemo" or float(row["diff_offline"]) <= 1e-4
        assert rows[0]["ratio_session_nemo_p50"] == rows[1]["ratio_session_nemo_p50"] != ""

    def test_a_new_run_replaces_its_own_rows_and_keeps_the_others(self, rows_of):
        first = rows_of()
        assert len(rows_of("--layers", "2")) == 2 * len(first)
        assert len(rows_of()) == 2 * len(first)

    def test_a_long_stream_has_rows_of_its_first_and_last_minute(self, rows_of):
        (row,) = rows_of("--minutes", "1")
        assert row["minute"] == "1" and int(row["state_bytes"]) > 0

    @pytest.mark.parametrize("flags", ["--streams 0", "--seconds 9", "--minutes -1", "--layers 0", "--heads 3"])
    def test_bad_flags_are_refused(self, flags):
        with pytest.raises(SystemExit):
            streaming.parse_arguments(flags.split())
