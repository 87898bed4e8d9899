# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The benchmark of speed: one tiny run of each part, what a row says, and which rows a new run replaces."""

import importlib

import pytest
import torch

from benchmarks import malloc, table
from benchmarks.speed import harness, plot, timing
from benchmarks.speed.__main__ import PARTS

# every part in a size that takes no time
TINY = {
    "masking": dict(BATCH=2, FRAMES=50),
    "quantizer": dict(STEPS=(3,), CLASSES=16),
    "attention": dict(FRAMES=(8, 150), CONTEXTS=((4, 0),), SHORT=(), GROWTH=(8,)),
    "decoding": dict(STEPS=9, CLASSES=7),
    "subsampling": dict(FRAMES=(40,)),
    "training_step": dict(LAYERS=1, STEPS=((1, "40/120/320", 0.0),), SCHEDULE=[[0, [4, 0]]]),
    "streaming_step": dict(LAYERS=1, STREAMS=(1,), SECONDS=4),
}


def arguments(path, *flags):
    sizes = "--d-model 16 --heads 2 --batch 2 --threads 1 --seconds 0 --device cpu --malloc this".split()
    return harness.parse_arguments("", [*sizes, *flags, "--output", str(path)])


class TestSpeed:
    @pytest.mark.parametrize("part", PARTS)
    def test_each_part_measures_both_sides(self, part, tmp_path, monkeypatch):
        module = importlib.import_module(f"benchmarks.speed.{part}")
        for name, value in TINY[part].items():
            monkeypatch.setattr(module, name, value)
        harness.run(module.cases, arguments(tmp_path / "speed.csv"))
        rows = table.read_rows(tmp_path / "speed.csv")
        assert {"ours", "nemo"} <= {row["side"] for row in rows}
        for row in rows:
            assert 0 < float(row["p20_ms"]) <= float(row["p50_ms"]) <= float(row["p80_ms"])
            assert float(row["peak_mib"]) > 0 and row["torch"] and row["nemo"] and row["device"].startswith("cpu")
        if part == "attention":
            plot.draw(tmp_path / "speed.png", rows)
            assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")

    def test_a_ratio_is_against_the_faster_nemo_and_a_new_run_replaces_its_part(self, tmp_path, monkeypatch):
        times = (timing.Times([wall]) for wall in (10.0, 20.0, 40.0, 5.0, 20.0, 40.0))
        monkeypatch.setattr(harness, "take_turns", lambda sides, *_: {name: next(times) for name in sides})
        path = tmp_path / "speed.csv"
        nothing = lambda: torch.zeros(9)  # noqa: E731
        case = harness.Case("a", {"frames": 3}, nothing, {"nemo": nothing, "nemo sdpa": nothing})
        table.write_rows(path, [{"part": "b", "side": "ours", "malloc": malloc.kind()}], harness.COLUMNS)
        for ratio in ("0.500", "0.250"):
            harness.run(lambda args: [case], arguments(path))
            rows = table.read_rows(path)
            assert [row["part"] for row in rows] == ["b", "a", "a", "a"]
            assert rows[1]["time_ratio"] == ratio and rows[1]["memory_ratio"] == "1.000"

    def test_peak_memory_is_what_is_held_at_a_time(self):
        def step():
            first = torch.zeros(2**18)  # 1 MiB
            del first
            return torch.zeros(2**18) + torch.zeros(2**18)

        assert 3.0 <= timing.peak_mib(step, torch.device("cpu")) < 3.1

    @pytest.mark.parametrize("flags", ["--heads 3 --d-model 16", "--batch 0", "--malloc best"])
    def test_bad_flags_are_refused(self, flags, tmp_path):
        with pytest.raises(SystemExit):
            arguments(tmp_path, *flags.split())
