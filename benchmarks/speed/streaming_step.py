# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""One chunk of a stream: NeMo's cache-aware loop, and the streaming session behind its front end.

This is `benchmarks/speed/streaming.py` in the table of all parts; more chunk sizes, numbers of streams and the
differences from the offline pass.
"""

import itertools
import sys
from argparse import Namespace
from collections.abc import Iterator

from benchmarks.speed import streaming_sides as sides
from benchmarks.speed.harness import Case, Step, main

LAYERS, STREAMS, SECONDS, STYLE, CONTEXT = 12, (1, 8), 40, "regular", [40, 0]


def in_turn(step: sides.Chunk, chunks: int) -> Step:
    """A step that takes the next chunk each time."""
    index = itertools.cycle(range(chunks))
    return lambda: step(next(index))


def cases(args: Namespace) -> Iterator[Case]:
    args = Namespace(**vars(args), layers=LAYERS)
    for streams in STREAMS:
        model = sides.build_model(args, STYLE, CONTEXT)
        feats = sides.features_of(model, sides.make_audio(streams, SECONDS), next(model.parameters()).dtype)
        bounds = sides.chunk_bounds(1, feats.size(2))
        steps = {
            "ours": sides.session_step(sides.new_session(model, streams), feats, bounds),
            "nemo": sides.nemo_step(sides.nemo_encoder(model, args, 1), feats, bounds),
        }
        ours, nemo = (in_turn(step, len(bounds)) for step in steps.values())
        settings = {"streams": streams, "chunk_ms": sides.FRAME_MS, "left": CONTEXT[0], "right": CONTEXT[1]}
        yield Case("streaming step", {**settings, "layers": LAYERS}, ours, {"nemo": nemo})


if __name__ == "__main__":
    sys.exit(main("streaming_step", __doc__, cases))
