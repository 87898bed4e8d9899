#!/usr/bin/env bash
# NeMo: all feed-forward modules of all Conformer encoders in a process share one activation module.
#
# Seen with nemo_toolkit 3.0.0 (2.5.3 does the same). One would expect each layer to have an activation of its own, as
# it has its own norms and linear layers, and two encoders to share nothing. But `ConformerFeedForward` takes the
# activation as a default argument, which Python makes once. So a forward hook on an activation of one encoder (to
# record or quantise what it sees) is called by every feed-forward of every encoder, and a change of that module is a
# change of all.
#
# Output seen:
#     nemo_toolkit 3.0.0
#     feed-forwards: 8, activation modules: 1
#     calls of a hook on the first encoder, by a forward of the second: 4
#
# Needs Python 3.10 to 3.12, a C++ compiler and some minutes. Exit code 0: it is still so; 1: it is not.
set -euo pipefail
constraints="$(cd "$(dirname "$0")/.." && pwd)/constraints/3.0.0.txt"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-compile \
    --constraint "$constraints" "$@"; }
pip torch
pip 'nemo_toolkit[asr]==3.0.0'

cat > "$folder/shared.py" <<'PYTHON'
import sys
from importlib.metadata import version

import torch
from nemo.collections.asr.modules import ConformerEncoder

options = dict(feat_in=80, n_layers=2, d_model=32, n_heads=4, subsampling_conv_channels=8)
first, second = ConformerEncoder(**options).eval(), ConformerEncoder(**options).eval()
layers = [*first.layers, *second.layers]
activations = [part.activation for layer in layers for part in (layer.feed_forward1, layer.feed_forward2)]
modules = len(set(map(id, activations)))
print('nemo_toolkit', version('nemo_toolkit'))
print(f'feed-forwards: {len(activations)}, activation modules: {modules}')

calls = []
activations[0].register_forward_hook(lambda *_: calls.append(1))
with torch.no_grad():
    second(audio_signal=torch.randn(1, 80, 64), length=torch.tensor([64]))
print('calls of a hook on the first encoder, by a forward of the second:', len(calls))
sys.exit((len(activations), modules, len(calls)) != (8, 1, 4))
PYTHON
cd "$folder"
venv/bin/python shared.py 2>/dev/null
