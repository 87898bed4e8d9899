# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Where the results of one source go: features into a file, text onto the terminal."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from streaming_inference.reports import FeatureFile


class Sink:
    """What has been heard of one source.

    Args:
        keep: remember the audio, for --compare-offline
    """

    def __init__(self, keep: bool):
        self.keep = keep
        self.audio: list[np.ndarray] = []

    def add_audio(self, samples: np.ndarray):
        """Takes what has been pushed."""
        if self.keep:
            self.audio.append(samples)


class FeatureSink(Sink):
    """Features of one source, written as they come.

    Args:
        path: the `.npy` file, or None
        keep: remember audio and features, for --compare-offline
    """

    def __init__(self, path: Path | None = None, keep: bool = False):
        super().__init__(keep)
        self.file = FeatureFile(path) if path else None
        self.features: list[np.ndarray] = []

    def add(self, features: np.ndarray):
        """Takes features (T, D)."""
        if self.file:
            self.file.append(features)
        if self.keep:
            self.features.append(features)

    def finish(self):
        """The source has ended."""
        if self.file:
            self.file.finish()

    def discard(self):
        """It has not: nothing half-written stays."""
        if self.file:
            self.file.discard()


class TextSink(Sink):
    """Text of one source: as it comes, or in one line when the source has ended.

    Args:
        name: of the source
        write: takes text
        live: whether the text is to be seen as it comes
        keep: remember the audio, for --compare-offline
    """

    def __init__(self, name: str, write: Callable[[str], None], live: bool, keep: bool = False):
        super().__init__(keep)
        self.name, self.write, self.live = name, write, live
        self.text = ""
        if live:
            write(f"{name}: ")

    def add(self, transcript):
        """Takes what is known of the stream now; only what stays is shown."""
        before, self.text = self.text, transcript.final
        if self.live and self.text.startswith(before):
            self.write(self.text[len(before) :])
        elif self.live:
            self.write(f"\n{self.name}: {self.text}")

    def finish(self):
        """The source has ended."""
        self.write("\n" if self.live else f"{self.name}: {self.text}\n")

    def discard(self):
        """It has not."""
        if self.live:
            self.write("\n")
