# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A reader of an export folder for one stream, written from docs/export.md alone: NumPy and onnxruntime."""

import json
from pathlib import Path

import numpy as np
import onnxruntime


def feature_frames(folder, audio, samples):
    """All feature frames of a whole stream, (F, D)."""
    arrays = np.load(folder / audio["arrays_file"])
    signal = samples.astype(np.float32)
    if audio["preemphasis"] is not None:
        signal = signal - audio["preemphasis"] * np.concatenate([[0], signal[:-1]])
    if audio["dropped_tail_samples"]:
        signal[-audio["dropped_tail_samples"] :] = 0
    count = max(0, (len(samples) + audio["frame_offset_samples"]) // audio["hop_samples"])
    frames = np.zeros((count, audio["window_samples"]), np.float32)
    for j, i in np.ndindex(*frames.shape):
        at = audio["first_sample"] + j * audio["hop_samples"] + i
        frames[j, i] = signal[at] if 0 <= at < len(signal) else 0
    spectrum = np.fft.rfft(frames * arrays["window"], n=audio["fft_samples"])
    power = (np.abs(spectrum) ** 2 + audio["power_guard"]) ** (audio["magnitude_power"] / 2)
    mel, guard = power @ arrays["filters"], audio["log_guard_value"]
    features = {
        "add": lambda: np.log(mel + guard),
        "clamp": lambda: np.log(np.maximum(mel, guard)),
        "none": lambda: mel,
    }
    made = features[audio["log_guard"]]()
    return (made - arrays["mean"]) / arrays["std"] if "mean" in arrays else made


def read(folder, samples, lefts=None, steps=(1,), precision="float32"):
    """Every output of a whole stream, by name, (T, ...); lefts: one for each layer; steps: T, again and again."""
    folder = Path(folder)
    model = json.loads((folder / "model.json").read_text())
    assert (model["format"], model["format_version"]) == ("nemo-streaming-ssl streaming step", 1)
    encoder, stride = model["encoder"], model["encoder"]["feature_frames_per_encoder_frame"]
    graph = onnxruntime.InferenceSession(str(folder / model["graphs"][precision]))
    state = {}
    for tensor in model["state"]:
        shape = [1, *tensor["longest_shape"][1:]]
        if tensor["layer"] is not None and lefts is not None:
            shape[2] = lefts[tensor["layer"]]
        state[tensor["input"]] = np.zeros(shape, np.float32)
    features = feature_frames(folder, model["audio"], samples)
    total = len(features)
    for _ in range(encoder["halvings"]):
        total = total // 2 + 1
    found = {tensor["name"]: [np.zeros((0, tensor["shape"][2]), np.float32)] for tensor in model["outputs"]}
    names, done, turn = [*found, *(tensor["output"] for tensor in model["state"])], 0, 0
    while done < total:
        frames = (
            steps[turn % len(steps)] if encoder["attention_style"] == "regular" else encoder["chunk_encoder_frames"]
        )
        index = stride * done - stride + 1 + np.arange(stride * frames)
        inside = np.logical_and(index >= 0, index < len(features))
        given = np.full((1, len(index), model["audio"]["num_features"]), 123.0, np.float32)  # it does not matter
        given[0, inside] = features[index[inside]]
        end = len(features) if done + frames >= total else 2**62
        numbers = {"position": np.array([done]), "end": np.array([end])}
        results = dict(zip(names, graph.run(names, {"features": given, **numbers, **state})))
        state = {tensor["input"]: results[tensor["output"]] for tensor in model["state"]}
        for name in found:
            found[name].append(results[name][0])
        done, turn = done + frames, turn + 1
    return {name: np.concatenate(parts)[:total] for name, parts in found.items()}
