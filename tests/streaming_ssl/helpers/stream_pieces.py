# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Audio in pieces, as a stream of it comes."""

import torch


def cut(audio, sizes):
    """Pieces of these sizes again and again, up to the end of (samples,)."""
    pieces = []
    while audio.numel():
        pieces.append(audio[: sizes[len(pieces) % len(sizes)]])
        audio = audio[pieces[-1].numel() :]
    return pieces


def padded(pieces):
    """One piece for each stream as (B, N), where what is padded is no number; and their lengths."""
    lengths = [piece.numel() for piece in pieces]
    samples = torch.full((len(pieces), max(lengths)), float("nan"))
    for row, piece in zip(samples, pieces):
        row[: piece.numel()] = piece
    return samples, lengths
