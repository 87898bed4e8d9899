# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A corpus of noise with words, on which the quality harness can be run within seconds; and a plan."""

import numpy as np
import soundfile

from benchmarks.quality import manifests

PLAN = """
common:
  overrides: [model.num_classes=16, model.encoder.d_model=16, model.encoder.n_layers=2, model.encoder.n_heads=4,
    model.encoder.subsampling_conv_channels=8, 'model.encoder.att_context_size=[4,0]', model.train_ds.batch_size=2,
    model.train_ds.num_workers=0, model.validation_ds.num_workers=0, model.train_ds.min_duration=0.1,
    model.validation_ds.min_duration=0.1]
  crop_seconds: 1
  finetune: {steps: 2, overrides: [model.train_ds.batch_size=2, model.train_ds.num_workers=0,
    model.validation_ds.num_workers=0]}
arms:
  scratch: {steps: 0}
  masked:
    steps: 3
    overrides: [model.objective=masked_tokens, model.masking.mask_prob=0.06, model.masking.block_size=8]
  noisy:
    steps: 2
    noise: true
    finetune_overrides: [pretrained.other_contexts=true, '+model.encoder.att_context_size=[2,0]']
runs:
  - {arms: [scratch, masked, noisy], minutes: [0.1], seeds: [3]}
  - {arms: [masked], minutes: [0.1], seeds: [3], on: dev}
  - {arms: [masked], minutes: [0.1], seeds: [3], finetune_steps: [1]}
"""
WORDS = {"red": "R EH1 D", "green": "G R IY1 N", "blue": "B L UW1"}


def write_corpus(folder):
    """Manifests `train` (five speakers), `test` (another one) and `noise`, a lexicon, and the plan."""
    rng = np.random.default_rng(0)
    for name, speakers in (("train", "abcde"), ("test", "z"), ("noise", "n")):
        entries = []
        for index, speaker in enumerate(speakers * 2):
            length = 20000 + 1600 * index
            soundfile.write(folder / f"{name}{index}.wav", 0.1 * rng.standard_normal(length), 16000)
            entry = {"audio_filepath": f"{name}{index}.wav", "duration": length / 16000, "speaker": speaker}
            entries.append({**entry, "text": "red green blue"})
        manifests.write(folder / f"{name}.json", entries)
    (folder / "words.txt").write_text("".join(f"{word.upper()}\t{phones}\n" for word, phones in WORDS.items()))
    (folder / "plan.yaml").write_text(PLAN)


def command(folder, *others):
    """The command line for a corpus."""
    flags = dict(plan="plan.yaml", pretrain="train.json", train="train.json", test="test.json", noise="noise.json")
    flags.update(lexicon="words.txt", work="work")
    return [*(part for name, file in flags.items() for part in (f"--{name}", str(folder / file))), *others]
