# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What becomes of a stream: features in a file, or text on the terminal.

A sink takes the results of one source as they come (`add`), then `finish`, or `discard` if it does not come to its
end.
"""

import os
from pathlib import Path

import numpy as np


class FeatureEngine:
    """A StreamingEncoderSession whose results are the features (T, D) of each stream.

    They come to the CPU, so that a step has really been done when it is timed.
    """

    def __init__(self, session):
        self.session, self.reset = session, session.reset

    def push(self, batch: np.ndarray, lengths: list[int]) -> list[np.ndarray]:
        """One chunk (B, N) of all streams."""
        return self._features(self.session.push(batch, lengths))

    def flush(self, ended: list[bool]) -> list[np.ndarray]:
        """Ends streams, whose places are new then."""
        return self._features(self.session.flush(ended))

    @staticmethod
    def _features(output) -> list[np.ndarray]:
        features, lengths = output.features.float().cpu().numpy(), output.lengths.tolist()
        return [own[:, :length].T for own, length in zip(features, lengths)]


class FeatureSink:
    """Features of one source.

    Args:
        path: the `.npy` file (T', D) float32 that they are written into, which replaces an older one; or None. It has
            a temporary name in the same folder until it is finished.
        keep: whether to remember them
    """

    def __init__(self, path: Path | None = None, keep: bool = False):
        self.path, self.keep, self.file = path, keep, None
        self.features: list[np.ndarray] = []
        self.shape = (0, 0)
        if path:
            self.temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
            self.file = open(self.temporary, "wb")

    def add(self, features: np.ndarray):
        """Takes features (T, D)."""
        is_first = not self.shape[1]
        self.shape = (self.shape[0] + len(features), features.shape[1])
        if self.file:
            if is_first:
                self._write_header()
            self.file.write(np.ascontiguousarray(features, dtype="<f4").tobytes())
        if self.keep:
            self.features.append(features)

    def finish(self):
        """The source has ended: the file gets its name."""
        if self.file:
            self.file.seek(0)
            self._write_header()
            self.file.close()
            os.replace(self.temporary, self.path)

    def discard(self):
        """It has not: nothing half-written stays."""
        if self.file:
            self.file.close()
            self.temporary.unlink(missing_ok=True)

    def _write_header(self):
        # NumPy leaves room in the header for the first axis to grow
        header = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(self.file, header)


class TextSink:
    """Text of one source: as it comes, or in one line when the source has ended.

    Args:
        name: of the source
        live: whether the text is to be seen as it comes
    """

    def __init__(self, name: str, live: bool):
        self.name, self.live, self.text = name, live, ""
        if live:
            self._write(f"{name}: ")

    def add(self, transcript):
        """Takes what is known of the stream now; only what stays is shown."""
        before, self.text = self.text, transcript.final
        if self.live and self.text.startswith(before):
            self._write(self.text[len(before) :])
        elif self.live:
            self._write(f"\n{self.name}: {self.text}")

    def finish(self):
        """The source has ended."""
        self._write("\n" if self.live else f"{self.name}: {self.text}\n")

    def discard(self):
        """It has not."""
        if self.live:
            self._write("\n")

    @staticmethod
    def _write(text: str):
        print(text, end="", flush=True)
