# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What an export folder says of itself: `model.json`, and the arrays of the front end."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nemo_streaming_ssl.onnx_session import arrays
from nemo_streaming_ssl.overlay import overlay_module

FORMAT, FORMAT_VERSION = "nemo-streaming-ssl streaming step", 1
FILE = "model.json"


@dataclass(frozen=True)
class StateTensor:
    """A tensor of the state.

    Args:
        name: of the graph's input
        next_name: of the graph's output that it is replaced by
        shape: without its batch dimension; of keys and values with the longest past
        layer: whose keys or values it is, whose second dimension is that layer's left context; None for other tensors
    """

    name: str
    next_name: str
    shape: list[int]
    layer: int | None


@dataclass(frozen=True)
class Description:
    """An export folder; see docs/export.md for what the values mean."""

    folder: Path
    values: dict[str, Any]

    @property
    def audio(self) -> dict[str, Any]:
        """How feature frames are made of samples."""
        return self.values["audio"]

    @property
    def encoder(self) -> dict[str, Any]:
        """How encoder frames are made of feature frames."""
        return self.values["encoder"]

    @property
    def state(self) -> list[StateTensor]:
        """The tensors of the state, in the order of the graph."""
        return [
            StateTensor(
                item["input"], item["output"], [int(size) for size in item["longest_shape"][1:]], item["layer"]
            )
            for item in self.values["state"]
        ]

    def graph(self, precision: str) -> Path:
        """The file of a graph.

        Raises:
            ValueError: there is none of this precision
        """
        graphs = self.values["graphs"]
        if precision not in graphs:
            raise ValueError(f'precision={precision!r}: {self.folder} has {", ".join(graphs)}')
        return self.folder / graphs[precision]

    def arrays(self) -> dict[str, np.ndarray]:
        """Window, filters and constants of the front end."""
        with np.load(self.folder / self.audio["arrays_file"], allow_pickle=False) as arrays:
            return dict(arrays)

    def front_end(self) -> Any:
        """What makes feature frames of samples, a `LogMel`."""
        audio, constants = self.audio, self.arrays()
        return overlay_module("features").LogMel(
            arrays=arrays,
            window=constants["window"],
            filters=constants["filters"],
            statistics=(constants["mean"], constants["std"]) if "mean" in constants else None,
            hop=int(audio["hop_samples"]),
            n_fft=int(audio["fft_samples"]),
            first_sample=int(audio["first_sample"]),
            frame_offset=int(audio["frame_offset_samples"]),
            dropped_tail=int(audio["dropped_tail_samples"]),
            preemph=audio["preemphasis"],
            power_guard=audio["power_guard"],
            mag_power=audio["magnitude_power"],
            log_guard=audio["log_guard"],
            log_guard_value=audio["log_guard_value"],
        )


def read_description(folder: Any) -> Description:
    """Reads `model.json`.

    Raises:
        ValueError: the folder has none, or one of another format
    """
    path = Path(folder) / FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder}: is no export folder, {FILE} cannot be read ({error})") from error
    found = (values.get("format"), values.get("format_version")) if isinstance(values, dict) else None
    if found != (FORMAT, FORMAT_VERSION):
        raise ValueError(f"{path}: format and version are {found}, must be {(FORMAT, FORMAT_VERSION)}")
    return Description(Path(folder), values)
