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

"""One chunk of a stream: NeMo's cache-aware loop, and the streaming session behind its front end.

This is `benchmarks/speed/streaming.py` in the table of all parts; more chunk sizes, numbers of streams and the
differences from the offline pass.
"""

import itertools
import sys
from argparse import Namespace
from typing import Callable, Iterator

from benchmarks.speed import streaming_sides as sides
from benchmarks.speed.harness import Case, main

LAYERS, STREAMS, SECONDS, STYLE, CONTEXT = 12, (1, 8), 40, "regular", [40, 0]


def in_turn(step: Callable[[int], object], chunks: int) -> Callable[[], object]:
    """A step that takes the next chunk each time."""
    index = itertools.cycle(range(chunks))
    return lambda: step(next(index))


def cases(args) -> Iterator[Case]:
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
