# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Which utterances a batch is made of: names that travel in the batch, from the process that loads it.

NeMo's batches do not say it. Its data sets know: the entries of their manifests, or Lhotse's cuts.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader


class Utterances:
    """Names of a batch's utterances: path or id, with the offset if there is one."""

    def __init__(self, names: Sequence[str]):
        self.names = list(names)

    def __iter__(self) -> Iterator:
        """Nothing: Lightning looks for tensors in all that a batch has, to learn how large it is."""
        return iter(())


def utterances_of(batch: Any) -> list[str] | None:
    """Names of a batch's utterances; None if it does not carry any."""
    parts = batch if isinstance(batch, (tuple, list)) else (getattr(batch, "sample_id", None),)
    return next((part.names for part in parts if isinstance(part, Utterances)), None)


def name_utterances(loader: Any) -> Any:
    """Makes the batches of a loader of NeMo's carry `Utterances`; returns the loader.

    As `sample_id` of an `AudioNoiseBatch`, as the last item of a tuple. A loader whose data sets do not say what they
    hold (DALI) is left as it is.
    """
    dataset = getattr(loader, "dataset", None)
    if not isinstance(loader, DataLoader) or loader.collate_fn is None:
        return loader
    datasets = [d for d in _leaves(dataset) if hasattr(d, "manifest_processor")]
    cut_reader = getattr(dataset, "dataset", dataset)  # Lhotse wraps the data set of an iterable loader
    if datasets:
        loader.collate_fn = _NamesOfEntries(loader.collate_fn, datasets)
    elif callable(getattr(cut_reader, "load_audio", None)):
        cut_reader.load_audio = _RemembersCuts(cut_reader.load_audio)
        loader.collate_fn = _NamesOfCuts(loader.collate_fn, cut_reader.load_audio)
    return loader


def _leaves(dataset: Any) -> Iterator[Any]:
    """The data sets that a concatenation or a chain consists of, each once."""
    inner = getattr(dataset, "datasets", None)
    if inner is None:
        yield dataset
        return
    for part in {id(part): part for part in inner}.values():
        yield from _leaves(part)


def _with_names(batch: Any, names: Sequence[str | None]) -> Any:
    if any(name is None for name in names):
        return batch
    if isinstance(batch, (tuple, list)):
        return (*batch, Utterances(names))
    if getattr(batch, "sample_id", False) is None:
        batch.sample_id = Utterances(names)
    return batch


class _NamesOfEntries:
    """Makes a batch of a manifest's utterances as NeMo does, with their names.

    Args:
        collate: NeMo's
        datasets: with manifests. Several of them count their entries each from 0: then a name may be one of several.
    """

    def __init__(self, collate: Callable, datasets: Sequence[Any]):
        self.collate, self.datasets = collate, datasets
        # tuples have their entry's number only if asked to, and NeMo's own batch shall not have one more item
        self.takes_off = [d for d in datasets if getattr(d, "return_sample_id", None) is False]
        for dataset in self.takes_off:
            dataset.return_sample_id = True

    def __call__(self, items: Sequence[Any]) -> Any:
        names = [self._name(_number(item)) for item in items]
        if self.takes_off:
            items = [item[:4] if isinstance(item, tuple) else item for item in items]
        return _with_names(self.collate(items), names)

    def _name(self, number: int | None) -> str | None:
        if number is None:
            return None
        collections = [dataset.manifest_processor.collection for dataset in self.datasets]
        entries = [collection[number] for collection in collections if number < len(collection)]
        return " or ".join(dict.fromkeys(_describe(entry) for entry in entries)) or None


def _number(item: Any) -> int | None:
    """Which entry of its manifest an item was made of; None for one that was made of none."""
    number = item[-1] if isinstance(item, tuple) and len(item) == 5 else getattr(item, "sample_id", None)
    return int(number) if isinstance(number, (int, str)) and str(number).isdecimal() else None


def _describe(entry: Any) -> str:
    return f"{entry.audio_file} from {entry.offset} s" if entry.offset else str(entry.audio_file)


def _describe_cut(cut: Any) -> str:
    """A cut's file, where it is of one file; otherwise its id."""
    sources = getattr(getattr(cut, "recording", None), "sources", ())
    files = [str(source.source) for source in sources if source.type == "file"]
    name = files[0] if len(files) == 1 else str(cut.id)
    return f"{name} from {cut.start} s" if getattr(cut, "start", 0) else name


class _RemembersCuts:
    """Reads the audio of cuts as Lhotse does, and keeps the names of those that it could read last."""

    def __init__(self, load_audio: Callable):
        self.load_audio = load_audio
        self.names: list[str] = []

    def __call__(self, cuts: Any, *args: Any, **kwargs: Any) -> Any:
        loaded = self.load_audio(cuts, *args, **kwargs)
        self.names = [_describe_cut(cut) for cut in loaded[2]]
        return loaded


class _NamesOfCuts:
    """Gives a batch the names of the cuts that were read for it, which are the last ones, in the same process."""

    def __init__(self, collate: Callable, cuts: _RemembersCuts):
        self.collate, self.cuts = collate, cuts

    def __call__(self, batch: Any) -> Any:
        return _with_names(self.collate(batch), self.cuts.names)
