# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Names of the utterances of a batch. NeMo's batches have none; the entries of manifests and Lhotse's cuts do."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any


def names_for(dataset: Any) -> "NamesOfEntries | NamesOfCuts | None":
    """What names the utterances of a data set; None if it does not say what it holds (DALI's)."""
    datasets = [d for d in _leaves(dataset) if hasattr(d, "manifest_processor")]
    cut_reader = getattr(dataset, "dataset", dataset)  # Lhotse wraps the data set of an iterable loader
    if datasets:
        return NamesOfEntries(datasets)
    if not callable(getattr(cut_reader, "load_audio", None)):
        return None
    cut_reader.load_audio = NamesOfCuts(cut_reader.load_audio)
    return cut_reader.load_audio


def _leaves(dataset: Any) -> Iterator[Any]:
    """The data sets that a concatenation or a chain consists of, each once."""
    inner = getattr(dataset, "datasets", None)
    if inner is None:
        yield dataset
        return
    for part in {id(part): part for part in inner}.values():
        yield from _leaves(part)


class NamesOfEntries:
    """Names of a manifest's utterances.

    Args:
        datasets: with manifests. Several of them count their entries each from 0: then a name may be one of several.
    """

    def __init__(self, datasets: Sequence[Any]):
        self.datasets = datasets
        # tuples have their entry's number only if asked to, and NeMo's own batch shall not have one more item
        self.takes_off = [d for d in datasets if getattr(d, "return_sample_id", None) is False]
        for dataset in self.takes_off:
            dataset.return_sample_id = True

    def take(self, items: Sequence[Any]) -> tuple[list[str | None], Sequence[Any]]:
        """The items' names, None for one that was made of no entry; and the items as NeMo makes a batch of them."""
        names = [self._name(item) for item in items]
        if self.takes_off:
            items = [item[:4] if isinstance(item, tuple) else item for item in items]
        return names, items

    def _name(self, item: Any) -> str | None:
        number = item[-1] if isinstance(item, tuple) and len(item) == 5 else getattr(item, "sample_id", None)
        if not isinstance(number, (int, str)) or not str(number).isdecimal():
            return None
        collections = [dataset.manifest_processor.collection for dataset in self.datasets]
        entries = [collection[int(number)] for collection in collections if int(number) < len(collection)]
        return " or ".join(dict.fromkeys(_name(str(e.audio_file), e.offset) for e in entries)) or None


class NamesOfCuts:
    """Reads the audio of cuts as Lhotse does, and names those that it could read last, for a batch in this process."""

    def __init__(self, load_audio: Callable):
        self.load_audio = load_audio
        self.names: list[str] = []

    def __call__(self, cuts: Any, *args: Any, **kwargs: Any) -> Any:
        loaded = self.load_audio(cuts, *args, **kwargs)
        self.names = [_name_of_cut(cut) for cut in loaded[2]]
        return loaded

    def take(self, items: Any) -> tuple[list[str], Any]:
        """See `NamesOfEntries.take`."""
        return self.names, items


def _name_of_cut(cut: Any) -> str:
    """A cut's file, where it is of one file; otherwise its id."""
    sources = getattr(getattr(cut, "recording", None), "sources", ())
    files = [str(source.source) for source in sources if source.type == "file"]
    return _name(files[0] if len(files) == 1 else str(cut.id), getattr(cut, "start", 0))


def _name(name: str, seconds: float | None) -> str:
    return f"{name} from {seconds} s" if seconds else name
