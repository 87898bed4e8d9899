# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What audio is pushed into, and what comes out for each stream: features or text."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from streaming_inference.sinks import FeatureSink, TextSink


class FeatureEngine:
    """Features (T, D) of each stream.

    Args:
        session: a StreamingEncoderSession
        output: folder for the features, or None
        keep: whether sinks are to have their audio and features
    """

    def __init__(self, session, output: Path | None = None, keep: bool = False):
        self.session, self.output, self.keep = session, output, keep

    def sink(self, source) -> FeatureSink:
        """Where the features of a source go."""
        return FeatureSink(self.output / f"{source.name}.npy" if self.output else None, self.keep)

    def push(self, batch: np.ndarray, lengths: list[int]) -> list[np.ndarray]:
        """One chunk (B, N) of all streams."""
        return self._features(self.session.push(torch.from_numpy(batch), lengths=lengths))

    def flush(self, ended: list[bool]) -> list[np.ndarray]:
        """Ends streams, whose places are new then."""
        return self._features(self.session.flush(ended))

    def reset(self):
        """All streams are at their beginning."""
        self.session.reset()

    @staticmethod
    def _features(output) -> list[np.ndarray]:
        """On the CPU, so that the step has really been done."""
        features, lengths = output.features.float().cpu().numpy(), output.lengths.tolist()
        return [own[:, :length].T for own, length in zip(features, lengths)]


class TextEngine:
    """A transcript of each stream.

    Args:
        recognizer: a StreamingRecognizer
        write: takes the text of all streams
        keep: whether sinks are to have their audio
    """

    def __init__(self, recognizer, write: Callable[[str], None], keep: bool = False):
        self.recognizer, self.session = recognizer, recognizer.session
        self.write, self.keep = write, keep

    def sink(self, source) -> TextSink:
        """Where the text of a source goes: one stream alone is shown as it comes."""
        return TextSink(source.name, self.write, live=self.session.batch_size == 1, keep=self.keep)

    def push(self, batch: np.ndarray, lengths: list[int]) -> list:
        """One chunk (B, N) of all streams."""
        return self.recognizer.push(torch.from_numpy(batch), lengths)

    def flush(self, ended: list[bool]) -> list:
        """Ends streams, whose places are new then."""
        return self.recognizer.flush(ended)

    def reset(self):
        """All streams are at their beginning."""
        self.recognizer.reset()
