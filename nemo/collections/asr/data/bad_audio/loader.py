# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Makes a data loader of NeMo's one that says which audio is bad."""

from collections.abc import Mapping
from typing import Any

from torch.utils.data import DataLoader

from nemo.collections.asr.data.audio_to_text import _AudioTextDataset
from nemo.collections.asr.data.bad_audio.dataset import CheckedDataset
from nemo.collections.asr.parts.manifests import manifests_of
from nemo.collections.asr.parts.utils.loader_settings import loader_settings
from nemo.collections.common.data.dataset import ConcatDataset
from nemo.utils import logging


def checked_loader(loader: Any, config: Mapping, on_bad_audio: str | None, fills: bool = False) -> Any:
    """The loader, with its map-style datasets replaced by `CheckedDataset`s.

    Args:
        loader: what NeMo has made
        config: of the data, `train_ds` or its like
        on_bad_audio: `raise` or `skip`; None leaves all as it is
        fills: see `CheckedDataset`
    Returns:
        a loader with the same settings. Tarred, Lhotse and DALI data, which read bad audio in ways of their own, keep
        theirs, with a warning.
    """
    if on_bad_audio is None or loader is None:
        return loader
    dataset, skip = getattr(loader, "dataset", None), on_bad_audio == "skip"
    noise = list(manifests_of(config.get("noise_manifest")))
    if isinstance(dataset, _AudioTextDataset):
        manifests = list(manifests_of(config["manifest_filepath"]))
        checked = CheckedDataset(dataset, loader.collate_fn, skip, manifests, noise, fills)
        return DataLoader(checked, **_settings(loader), collate_fn=checked.collate_fn)
    if _is_concat_of_maps(dataset):
        _check_concat(loader, config, skip, noise, fills)
        return loader
    logging.warning(f"on_bad_audio={on_bad_audio}: does nothing for tarred, Lhotse and DALI data")
    return loader


def _settings(loader: DataLoader) -> dict[str, Any]:
    """How a loader was made, but for the dataset and what makes a batch of it."""
    batches = ("batch_sampler",) if loader.batch_size is None else ("batch_size", "sampler", "drop_last")
    return {name: getattr(loader, name) for name in (*batches, "generator")} | loader_settings(loader)


def _is_concat_of_maps(dataset: Any) -> bool:
    return isinstance(dataset, ConcatDataset) and all(isinstance(d, _AudioTextDataset) for d in dataset.datasets)


def _check_concat(loader: DataLoader, config: Mapping, skip: bool, noise: list[str], fills: bool):
    """Replaces the datasets within NeMo's `ConcatDataset`: one for each item of `manifest_filepath`."""
    concat, collate = loader.dataset, loader.collate_fn
    items = config["manifest_filepath"]
    if len(items) == 1 and not isinstance(items[0], str):
        items = items[0]  # as validation data comes
    concat.datasets = [
        CheckedDataset(dataset, collate, skip, list(manifests_of(item)), noise, fills)
        for dataset, item in zip(concat.datasets, items)
    ]
    loader.collate_fn = concat.datasets[0].collate_fn
