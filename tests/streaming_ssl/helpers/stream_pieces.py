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
