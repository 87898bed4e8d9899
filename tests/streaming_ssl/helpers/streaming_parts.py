# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What the tests of the parts of streaming share: masks, positions and pieces."""

import torch
from hypothesis import strategies as st

from nemo.collections.asr.parts.streaming.attention import band_mask, hide_empty
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


def positions(left):
    """Of the relations left + BLOCK - 1 down to 1 - BLOCK, (1, R, D)."""
    table, reach = encoding().pe, left + BLOCK
    return table.narrow(1, table.size(1) // 2 - reach + 1, reach + BLOCK - 1)


def hidden(frames, left, chunk):
    """True where a frame must not see another in the offline pass, (1, T, T), found frame by frame."""
    mask = torch.ones(1, frames, frames, dtype=torch.bool)
    for query in range(frames):
        begin = query - query % chunk
        mask[0, query, max(0, begin - left) : begin + chunk] = False
    return mask


def streaming_mask(left, chunk, filled, frames):
    """What a streaming step hides of `left` past frames, of which `filled` have been, and of its own."""
    empty = hide_empty(torch.tensor([filled]), left, frames)
    return torch.minimum(band_mask(left, frames, chunk), empty)


def in_pieces(run, x, left, chunk, sizes):
    """(1, T, D), by `run(piece, mask)`; the sizes are in chunks."""
    outputs, done = [], 0
    for size in sizes:
        piece = x[:, done : done + size * chunk]
        outputs.append(run(piece, streaming_mask(left, chunk, done, piece.size(1))))
        done += piece.size(1)
    return torch.cat(outputs, dim=1)


def assert_pieces_make(whole, streaming, x, left, chunk, sizes):
    """Asserts that a streaming part makes of pieces of x what the offline module has made of all of it."""
    state = streaming.initial_state(1)
    ours = in_pieces(lambda piece, mask: streaming.run(piece, state, None, mask), x, left, chunk, sizes)
    torch.testing.assert_close(ours, whole, rtol=0, atol=1e-5)
