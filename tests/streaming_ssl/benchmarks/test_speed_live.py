# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The benchmark of one step behind a microphone gives rows of all four sides, which agree."""


import pytest

from benchmarks.speed import live
from benchmarks.table import read_rows


@pytest.mark.long_run
class TestLive:
    @pytest.fixture
    def rows(self, tmp_path, monkeypatch):
        monkeypatch.setitem(live.SIZES, "small", (32, 4, 1))
        monkeypatch.setattr(live, "CUTS", (7,))
        output = tmp_path / "live.csv"
        flags = f"--sizes small --streams 2 --chunks 2 --output {output}".split()
        assert live.main(flags) == live.main(flags) == 0
        return read_rows(output)

    def test_each_side_has_one_row_and_equals_the_offline_pass(self, rows):
        assert [row["side"] for row in rows] == ["nemo", "session", "onnx", "onnx int8"]
        for row in rows:
            assert 0 < float(row["p20_ms"]) <= float(row["p50_ms"]) <= float(row["p95_ms"])
            assert float(row["first_output_ms"]) == pytest.approx(12.5 + 560 + float(row["p50_ms"]), abs=0.02)
            assert int(row["weight_bytes"]) > 0 and row["streams"] == "2" and row["left"] == "70"
        assert all(float(row["diff_offline"]) < 1e-4 for row in rows[1:3])
        assert float(rows[0]["ratio_nemo_p50"]) == float(rows[2]["ratio_onnx_p50"]) == 1

    def test_a_long_stream_has_a_row_for_each_minute_of_each_session(self, tmp_path, monkeypatch):
        monkeypatch.setitem(live.SIZES, "small", (32, 4, 1))
        monkeypatch.setattr(live, "MINUTE_SECONDS", 1)
        output = tmp_path / "live.csv"
        assert live.main(f"--sizes small --minutes 2 --output {output}".split()) == 0
        rows = read_rows(output)
        assert [(row["minute"], row["side"]) for row in rows] == [
            (minute, side) for minute in "12" for side in ("session", "onnx", "onnx int8")
        ]
        assert {row["state_bytes"] for row in rows if row["side"] == "onnx"} == {rows[1]["state_bytes"]}
        assert all(float(row["p50_ms"]) > 0 and row["chunks"] == "12" and not row["ratio_nemo_p50"] for row in rows)

    @pytest.mark.parametrize("flags", ["--streams 0", "--chunks 0", "--minutes -1", "--sizes huge", "--device cuda"])
    def test_bad_flags_are_refused(self, flags):
        with pytest.raises(SystemExit):
            live.parse_arguments(flags.split())
