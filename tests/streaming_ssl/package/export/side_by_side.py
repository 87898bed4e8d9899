# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Streams that go through a session of the model and one of its export, piece by piece."""

import numpy as np
import torch

from nemo.collections.asr.parts.streaming import StreamingEncoderSession
from nemo_streaming_ssl.onnx_session import OnnxStreamingSession


def sounds(*shape):
    """Noise whose level changes, so that no stretch is like another; float32."""
    return (0.1 * np.random.randn(*shape) * np.linspace(0.5, 3.0, shape[-1])).astype(np.float32)


def assert_close(ours, theirs, atol=1e-5):
    """Asserts that an array is near to a tensor."""
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=atol)


class SideBySide:
    """Both sessions, whose outputs are compared at each call."""

    def __init__(self, model, folder, batch_size=1, left_contexts=None, **options):
        self.batch_size = batch_size
        self.theirs = StreamingEncoderSession(model, batch_size, **options)
        options = {name: value for name, value in options.items() if name not in ("max_context", "verify")}
        self.ours = OnnxStreamingSession(folder, batch_size, left_contexts, threads=1, **options)

    def push(self, pieces):
        """One piece for each stream; the padding is no number."""
        lengths = [len(piece) for piece in pieces]
        samples = np.full((len(pieces), max(lengths)), np.nan, np.float32)
        for row, piece in zip(samples, pieces):
            row[: len(piece)] = piece
        self._compare(self.ours.push(samples, lengths), self.theirs.push(torch.from_numpy(samples), lengths))

    def push_features(self, feats, lengths=None):
        """Features in place of audio."""
        self._compare(
            self.ours.push_features(feats, lengths), self.theirs.push_features(torch.from_numpy(feats), lengths)
        )

    def flush(self, mask=None):
        """Ends streams."""
        self._compare(self.ours.flush(mask), self.theirs.flush(mask))

    def reset(self, mask=None):
        """Puts streams back to their beginning."""
        self.ours.reset(mask)
        self.theirs.reset(mask)

    def _compare(self, ours, theirs):
        assert ours.lengths.tolist() == theirs.lengths.tolist()
        assert_close(ours.features, theirs.features)
        assert self.ours.current_frame.tolist() == self.theirs.current_frame.tolist()
        if theirs.log_probs is not None:
            for row, length in enumerate(ours.lengths):  # what follows is not the same in both
                assert_close(ours.log_probs[row, :length], theirs.log_probs[row, :length], 1e-4)
        self.last = ours
