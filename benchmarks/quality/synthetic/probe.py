# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""
A linear classifier of phones on frozen features.

Layer and regularisation are chosen with two of the training voices, which the probe is not trained on for that; then
it is trained on all training voices and tested, once, on the validation voices. The same rule for all features.
"""

import warnings
from collections import Counter

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from benchmarks.quality.synthetic.data import Speech, Utterance

PENALTIES = (0.03, 0.3, 3.0)  # scikit-learn's C, the inverse of the regularisation
HELD_OUT_VOICES = 2
MAX_ITERATIONS = 100

Features = dict[str, list[Tensor]]  # {layer: a matrix (frames, dimensions) for each utterance}


def labels(utterances: list[Utterance]) -> np.ndarray:
    return np.array([phone for utterance in utterances for phone in utterance.phones])


def stacked(matrices: list[Tensor], chosen: np.ndarray) -> np.ndarray:
    """The matrices of the chosen utterances below each other."""
    return np.concatenate([matrix.numpy() for matrix, wanted in zip(matrices, chosen) if wanted])


def fit(inputs: np.ndarray, phones: np.ndarray, penalty: float) -> Pipeline:
    """The classifier, trained without a warning if it stops at MAX_ITERATIONS."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=MAX_ITERATIONS, tol=1e-3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return classifier.fit(inputs, phones)


def held_out(utterances: list[Utterance]) -> np.ndarray:
    """Which utterances the last voices say, one flag for each; none if there are no other voices."""
    voices = sorted({utterance.voice for utterance in utterances})
    last = voices[-HELD_OUT_VOICES:] if len(voices) > HELD_OUT_VOICES else []
    return np.array([utterance.voice in last for utterance in utterances])


def choose(features: Features, utterances: list[Utterance]) -> tuple[str, float, float]:
    """(layer, penalty, accuracy) of what is best on the held-out training voices."""
    out = held_out(utterances)
    rest = out if not out.any() else ~out
    phones = {flag: labels([u for u, is_out in zip(utterances, out) if is_out == flag]) for flag in (True, False)}
    tried = []
    for layer, matrices in features.items():
        inputs, tests = stacked(matrices, rest), stacked(matrices, out)
        for penalty in PENALTIES:
            accuracy = fit(inputs, phones[False], penalty).score(tests, phones[True])
            tried.append((layer, penalty, accuracy))
    return max(tried, key=lambda each: each[2])


def probe(train: Features, validation: Features, speech: Speech) -> dict[str, object]:
    """Accuracy on the validation voices, and what was chosen without them."""
    layer, penalty, held_out_accuracy = choose(train, speech.train)
    every = np.ones(len(speech.train), dtype=bool)
    classifier = fit(stacked(train[layer], every), labels(speech.train), penalty)
    tests = stacked(validation[layer], np.ones(len(speech.validation), dtype=bool))
    accuracy = classifier.score(tests, labels(speech.validation))
    return {"accuracy": accuracy, "held_out_accuracy": held_out_accuracy, "layer": layer, "penalty": penalty}


def levels(speech: Speech) -> dict[str, float]:
    """What guessing reaches on the validation voices: any phone of training at random, or always its most frequent."""
    counts = Counter(labels(speech.train).tolist())
    majority = np.mean(labels(speech.validation) == counts.most_common(1)[0][0])
    return {"chance": 1 / len(counts), "majority": float(majority)}
