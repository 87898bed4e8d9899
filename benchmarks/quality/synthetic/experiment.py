# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Every seed with every kind of features; processes of their own share the cores."""

import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from benchmarks.quality.synthetic.data import Speech, make_speech
from benchmarks.quality.synthetic.encoders import UNLIMITED, build, streaming_contexts
from benchmarks.quality.synthetic.features import encoder_features, log_mel_features
from benchmarks.quality.synthetic.options import Options
from benchmarks.quality.synthetic.pretraining import measure, pretrain
from benchmarks.quality.synthetic.probe import levels, probe
from benchmarks.quality.synthetic.report import Row
from benchmarks.quality.workers import workers
from nemo.utils import logging

# the trainings first: they take longest
KINDS = ("full", "hierarchical", "uniform", "log-mel", "random")


def run(options: Options) -> list[Row]:
    """A row for each seed and kind of features, in the order of the table."""
    threads = max(1, (os.cpu_count() or 1) // options.jobs)
    quiet = logging.temp_verbosity(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, quiet, workers(options.jobs, set_up, threads) as each:
        list(each(partial(prepare, options, Path(folder)), options.seeds))
        tasks = [(seed, kind) for seed in options.seeds for kind in KINDS]
        found = each(partial(rows_of, options, Path(folder)), tasks)
        rows = [row for rows in found for row in rows]
    order = ("log-mel", "random", "hierarchical", "uniform", "full", "full, offline")
    return sorted(rows, key=lambda row: (order.index(row["features"]), row["seed"]))


def set_up(threads: int) -> None:
    """Gives a process its share of the cores, and only NeMo's errors to say."""
    logging.setLevel(logging.ERROR)
    torch.set_num_threads(threads)


def prepare(options: Options, folder: Path, seed: int) -> None:
    """Makes the speech of a seed and saves it in the folder."""
    preprocessor = build("uniform", options, seed).cpu().preprocessor.eval()
    speech = make_speech(folder / f"audio-{seed}", options.minutes, seed, preprocessor)
    torch.save(speech, folder / f"{seed}.pt")


def rows_of(options: Options, folder: Path, task: tuple[int, str]) -> list[Row]:
    """The rows of one seed and kind of features, with what guessing reaches and how long it took in seconds."""
    seed, kind = task
    started = time.perf_counter()
    speech = torch.load(folder / f"{seed}.pt", weights_only=False)
    with threadpool_limits(torch.get_num_threads()):
        rows = measured(options, speech, seed, kind)
    for row in rows:
        row.update(seed=seed, seconds=time.perf_counter() - started, **levels(speech))
        print(f"seed {seed}  {row['features']:14s} {row['accuracy']:6.1%}  {row['seconds']:5.0f} s", flush=True)
    return rows


def measured(options: Options, speech: Speech, seed: int, kind: str) -> list[Row]:
    """Accuracies of one kind of features; `full` is run both as a stream and, for comparison, as it was trained."""
    if kind == "log-mel":
        found = probe(log_mel_features(speech.train), log_mel_features(speech.validation), speech)
        return [{"features": kind, **found}]
    variant = "hierarchical" if kind == "random" else kind
    model = build(variant, options, seed)
    losses = {} if kind == "random" else pretrain(model, speech.train, options, seed)
    losses.update(measure(model, speech.validation, options, seed))
    streaming = streaming_contexts(variant, options)
    rows = [encoder_row(model.encoder, streaming, speech, {"features": kind, **losses})]
    if kind == "full":
        offline = [[UNLIMITED, UNLIMITED]] * options.layers
        rows.append(encoder_row(model.encoder, offline, speech, {"features": "full, offline", **losses}))
    return rows


def encoder_row(encoder: Any, contexts: list[list[int]], speech: Speech, row: Row) -> Row:
    """The row with the probe's result under these contexts."""
    encoder.set_layer_contexts(contexts)
    train, validation = (encoder_features(encoder, part) for part in (speech.train, speech.validation))
    found = probe(train, validation, speech)
    return {**row, **found, "contexts": " ".join(f"{left},{right}" for left, right in contexts)}
