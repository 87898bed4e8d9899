# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What streaming_inference_example.py writes and prints: features as `.npy`, and the closing table."""

import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np


class FeatureFile:
    """Features of one stream in a `.npy` file, (T', D) float32.

    They are written as they come, under a temporary name in the same folder; `finish` gives the file its name.

    Args:
        path: the finished file, which replaces an older one
    """

    def __init__(self, path: Path):
        self.path, self.frames, self.width = path, 0, None
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        self.file = open(self.temporary, "wb")

    def append(self, features: np.ndarray):
        """Adds features (T, D)."""
        if self.width is None:
            self.width = features.shape[1]
            self._write_header()
        self.file.write(np.ascontiguousarray(features, dtype="<f4").tobytes())
        self.frames += len(features)

    def finish(self):
        """Makes the file complete and puts it in its place."""
        self.file.seek(0)
        self._write_header()
        self.file.close()
        os.replace(self.temporary, self.path)

    def discard(self):
        """Removes what was written."""
        self.file.close()
        self.temporary.unlink(missing_ok=True)

    def _write_header(self):
        # NumPy leaves room in the header for the first axis to grow
        header = {"descr": "<f4", "fortran_order": False, "shape": (self.frames, self.width or 0)}
        np.lib.format.write_array_header_1_0(self.file, header)


class Measurements:
    """Times of the session's calls, and how much audio went through them."""

    def __init__(self):
        self.pushes, self.seconds_of_work, self.seconds_of_audio, self.streams = array("d"), 0.0, 0.0, 0

    def add_push(self, seconds: float):
        """One chunk, for all streams together."""
        self.pushes.append(seconds)
        self.seconds_of_work += seconds

    def table(self, lookahead_ms: float, state_bytes: int) -> Iterator[str]:
        """The lines of the closing table."""
        percentiles = np.percentile(self.pushes, (50, 95, 99)) if len(self.pushes) else [0.0] * 3
        p50, p95, p99 = (f"{1000.0 * seconds:.2f}" for seconds in percentiles)
        factor = self.seconds_of_work / self.seconds_of_audio if self.seconds_of_audio else 0.0
        yield f"{'streams':<24}{self.streams}, {self.seconds_of_audio:.1f} s of audio, {len(self.pushes)} chunks"
        yield f"{'latency per chunk':<24}p50 {p50} ms, p95 {p95} ms, p99 {p99} ms"
        yield f"{'real-time factor':<24}{factor:.4f}"
        yield f"{'algorithmic look-ahead':<24}{lookahead_ms:g} ms"
        yield f"{'state memory':<24}{state_bytes / 2**20:.2f} MiB"


def largest_difference(streamed: np.ndarray, offline: np.ndarray) -> float | None:
    """The largest absolute difference of two (T', D); None if they are not of the same shape."""
    if streamed.shape != offline.shape:
        return None
    return float(np.abs(streamed - offline).max(initial=0.0))
