# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What the tests of the parts of streaming share: masks, positions and pieces."""

import torch
from hypothesis import strategies as st

from nemo.collections.asr.parts.streaming.step.attention import Piece
from nemo.collections.asr.parts.streaming.step.edges import Edges, band_mask
from nemo.collections.asr.parts.streaming.step.past import AttentionState, LayerState
from nemo.collections.asr.parts.submodules.multi_head_attention import RelPositionalEncoding

D_MODEL, BLOCK = 16, 12
CONTEXTS = [(5, 1), (0, 1), (6, 3), (0, 3)]  # left context and frames per chunk
# how many chunks come at once, at most a block of frames
PIECES = st.lists(st.integers(1, 4), min_size=1, max_size=8)


def randomize(module):
    """Parameters and statistics of a module in eval mode that show every mistake: no ones, no zeros."""
    for name, x in (*module.named_parameters(), *module.named_buffers()):
        if x.is_floating_point():
            torch.nn.init.uniform_(x, 0.5, 1.5) if "running_var" in name else torch.nn.init.normal_(x, std=0.3)
    return module.eval()


def encoding():
    """Relative positions as the encoder makes them."""
    made = RelPositionalEncoding(d_model=D_MODEL, dropout_rate=0.0, max_len=200).eval()
    made.extend_pe(200, torch.device("cpu"), torch.float32)
    return made


def sizes_of(left, chunk):
    """How many frames come at once, None for any number, and the positions (1, R, D) that a part is made with."""
    table, most = encoding().pe, None if chunk == 1 else BLOCK
    middle, (first, last) = table.size(1) // 2, (left, 0) if most is None else (left + most, 1 - most)
    return most, table[:, middle - first : middle - last + 1]


def layer_state(batch_size, left, kernel_size=1):
    """Streams at their beginning, of a layer with two heads."""
    attention = AttentionState(torch.zeros(2, 2, batch_size, left + BLOCK, D_MODEL // 2), left, left)
    return LayerState(attention, torch.zeros(batch_size, D_MODEL, kernel_size - 1))


def hidden(frames, left, chunk):
    """True where a frame must not see another in the offline pass, (1, T, T), found frame by frame."""
    mask = torch.ones(1, frames, frames, dtype=torch.bool)
    for query in range(frames):
        begin = query - query % chunk
        mask[0, query, max(0, begin - left) : begin + chunk] = False
    return mask


def streaming_mask(left, chunk, filled, frames):
    """What a streaming step hides of `left` past frames, of which each stream has had as many as `filled` says, and of
    its own."""
    empty, band = Edges(torch.tensor(filled), torch.tensor(filled)).mask(left, frames, None), None
    if chunk > 1:
        band = band_mask(left, frames, chunk)
    return band if empty is None else empty if band is None else torch.minimum(band, empty)


def in_pieces(run, x, left, chunk, sizes):
    """(1, T, D), by `run(piece, mask)`; the sizes are in chunks."""
    outputs, done = [], 0
    for size in sizes:
        piece = x[:, done : done + size * chunk]
        outputs.append(run(piece, streaming_mask(left, chunk, [done], piece.size(1))))
        done += piece.size(1)
    return torch.cat(outputs, dim=1)


def assert_pieces_make(whole, step, state, x, left, chunk, sizes):
    """Asserts that a part of the step makes of pieces of x what the offline module has made of all of it."""
    ours = in_pieces(lambda piece, mask: step(piece, state, mask, Piece(*piece.shape[:2])), x, left, chunk, sizes)
    torch.testing.assert_close(ours, whole, rtol=0, atol=1e-5)
