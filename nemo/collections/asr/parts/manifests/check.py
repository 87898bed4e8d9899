# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Checks a data section of a config before training starts, so that a bad manifest fails now and by name.

NeMo notices a missing manifest deep inside a data loader, an empty one as a progress bar without steps, a duration
that is text as a TypeError without a line, and an unreadable file hours later in a worker process (for noise not at
all: it trains with silence instead).
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lightning.pytorch import Trainer

from nemo.collections.asr.parts.manifests.audio import FilesToTry, audio_problems
from nemo.collections.asr.parts.manifests.lines import (
    Entry,
    encoding_of,
    how_to_decode,
    manifests_of,
    parse_entry,
    read_lines,
    undecodable_line,
    why_no_file,
)
from nemo.collections.asr.parts.manifests.problems import MOST_BAD, Problem, Problems, too_many
from nemo.utils import logging
from nemo.utils.get_rank import is_global_rank_zero
from nemo.utils.option_checks import check_integer, check_number

ON_BAD_AUDIO = ("raise", "skip", None)  # `model.on_bad_audio`; None is NeMo's behaviour
KEYS = ("manifest_filepath", "noise_manifest")
# Files opened per manifest, spread evenly over it. `check_audio_files` in the data section changes it, -1 is all.
FILES_TO_OPEN = 1000


class CheckedLines(NamedTuple):
    """A manifest whose lines are good, and those of its entries whose audio is to be looked at."""

    key: str
    manifest: str
    to_open: list[Entry]
    to_try: FilesToTry


def check_manifests(config: Mapping, on_bad_audio: str | None = None):
    """Raises a ValueError that names manifest and lines of what is wrong, counts the rest and says what to do.

    Looked at are all lines (JSON, paths, offsets, durations), the headers of `check_audio_files` files of each
    manifest and, unless that is 0, whether a few files of each extension can be read. A duration that ends beyond its
    file is a warning, because NeMo takes what is there. Tarred, Lhotse and remote data (a path with `://` or a shard
    pattern) are left to NeMo.

    Args:
        config: `train_ds`, `validation_ds` or `test_ds`
        on_bad_audio: the model's; with `skip` single files that cannot be used are a warning, see `too_many`
    """
    check_audio(config, check_lines(config), on_bad_audio)


def check_lines(config: Mapping) -> list[CheckedLines]:
    """The first half of the check, that of the manifests' text. Every rank does it, as every rank reads them.

    Raises:
        ValueError: see `check_manifests`
    """
    if config.get("is_tarred") or config.get("use_lhotse"):
        return []
    check_selector(config)
    checked, messages = [], []
    for key in KEYS:
        for manifest in list(manifests_of(config.get(key), key)):
            if any(mark in manifest for mark in ("://", "_OP_", "{")):
                continue
            problems = Problems(f"{key}={manifest}")
            checked.append(_check_manifest(key, manifest, config, problems))
            messages += problems.messages()
    if messages:
        raise ValueError("\n".join(messages))
    return checked


def check_selector(config: Mapping):
    """Raises a ValueError if NeMo can select no channel by the section's `channel_selector`.

    NeMo looks at it when it reads a file. A name is one of Lhotse's: `use_lhotse` takes it.
    """
    selector = config.get("channel_selector")
    if selector is None or selector == "average" or _is_index(selector):
        return
    if not isinstance(selector, str) and isinstance(selector, Sequence) and selector and all(map(_is_index, selector)):
        return
    raise ValueError(
        f"channel_selector={selector!r}: must be null, average, the number of a channel, from 0, or a list of one "
        "number. The name of a key of the manifest's lines needs use_lhotse=true."
    )


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def check_audio(config: Mapping, checked: list[CheckedLines], on_bad_audio: str | None = None):
    """The second half: reads headers of audio files. Once is enough, whatever the number of ranks.

    Raises:
        ValueError: see `check_manifests`
    """
    errors: list[str] = []
    for checked_lines in checked:
        selector = config.get("channel_selector") if checked_lines.key == "manifest_filepath" else None
        errors += _audio_errors(checked_lines, selector, on_bad_audio == "skip")
    if errors:
        raise ValueError("\n".join(errors))


def _audio_errors(checked: CheckedLines, selector, skip: bool) -> list[str]:
    """What ends the run; warns of the rest."""
    name, opened = f"{checked.key}={checked.manifest}", len(checked.to_open)
    bad, short, kinds = Problems(name), Problems(name), Problems(name)
    for line, problem in audio_problems(checked.manifest, checked.to_open, selector):
        (short if problem.kind == "duration_beyond" else bad).add(line, problem)
    total = sum(bad.counts.values())
    for message in (*short.messages(), *(bad.messages() if skip and not too_many(total, total, opened) else ())):
        logging.warning(message)
    if total and not skip:
        return bad.messages()
    if too_many(total, total, opened):
        most = f"on_bad_audio=skip leaves out single files, up to {MOST_BAD:.0%}"
        return [*bad.messages(), f"{name}: {total} of the {opened} files that were opened are bad; {most}"]
    for line, problem in checked.to_try.problems(checked.manifest, skip, selector):
        kinds.add(line, problem)
    return kinds.messages()


def _check_manifest(key: str, manifest: str, config: Mapping, problems: Problems) -> CheckedLines:
    """Reads a manifest twice, rather than keep what may be millions of entries."""
    if why := why_no_file(os.path.expanduser(manifest)):
        raise ValueError(f"{key}={manifest}: {why}")
    encoding, within = encoding_of(key), DurationLimits(config)
    to_open: list[Entry] = []
    to_try = FilesToTry()
    try:
        total = sum(1 for _ in read_lines(manifest, encoding))
        if not total:
            raise ValueError(f"{key}={manifest}: the manifest is empty; it needs one JSON object a line")
        asked = check_integer("check_audio_files", config.get("check_audio_files", FILES_TO_OPEN), -1)
        count = total if asked < 0 else min(asked, total)
        for position, (number, text) in enumerate(read_lines(manifest, encoding)):
            entry = parse_entry(key, number, text)
            if isinstance(entry, Problem):
                problems.add(number, entry)
                continue
            within.add(entry.duration)
            if count:
                to_try.add(entry)
            if position * count % total < count:  # at even distances
                to_open.append(entry)
    except UnicodeDecodeError as error:
        problems.add(undecodable_line(manifest, error), Problem("encoding", how_to_decode(manifest, error)))
    if key == "manifest_filepath" and not any(problems.counts.values()):
        within.check(manifest)
    return CheckedLines(key, manifest, to_open, to_try)


class DurationLimits:
    """NeMo drops utterances outside the limits of a data section; dropping every one leaves nothing to train on."""

    def __init__(self, config: Mapping):
        for name in ("min_duration", "max_duration"):
            if config.get(name) is not None:
                check_number(name, config[name], float("-inf"), float("inf"))
        self.low, self.high = config.get("min_duration"), config.get("max_duration")
        self.count, self.shortest, self.longest, self.kept = 0, float("inf"), 0.0, False

    def add(self, duration: float | None):
        """Counts an utterance; NeMo keeps one that does not say how long it is."""
        self.count += 1
        if duration is None:
            self.kept = True
            return
        self.shortest, self.longest = min(self.shortest, duration), max(self.longest, duration)
        self.kept = self.kept or (self.low or 0) <= duration <= (self.high or float("inf"))

    def check(self, manifest: str):
        """Raises a ValueError if no utterance is within the limits."""
        if not self.kept:
            raise ValueError(
                f"manifest_filepath={manifest}: none of its {self.count} utterances, {self.shortest:.2f} s to "
                f"{self.longest:.2f} s long, is within min_duration={self.low} and max_duration={self.high}"
            )


def check_on_ranks(config: Mapping, on_bad_audio: str | None, trainer: Trainer | None) -> str:
    """Checks a data section as `check_manifests` does, where a model is built on many ranks; all of them fail alike.

    There is no process group yet. So every rank checks the manifests' lines, which NeMo reads on each anyhow and where
    all find the same, and rank 0 reads the audio headers. If it raised then what it alone knows, the others would wait
    for it in the start of the process group. So it keeps the error until they are all there.

    Returns:
        what to give to `raise_on_all_ranks`: empty if nothing was found, or this is not rank 0
    Raises:
        ValueError: a line of a manifest is bad, or there is one rank only and audio cannot be read
    """
    lines = check_lines(config)
    if not _is_alone(trainer) and not is_global_rank_zero():
        return ""
    try:
        check_audio(config, lines, on_bad_audio)
    except ValueError as error:
        if _is_alone(trainer):
            raise
        return f"{error}\n"
    return ""


def raise_on_all_ranks(unreadable: str, trainer: Trainer | None):
    """Raises a ValueError on each rank if rank 0 has found audio that cannot be read; all ranks call it."""
    if _is_alone(trainer):
        return
    unreadable = trainer.strategy.broadcast(unreadable)
    if unreadable:
        raise ValueError(unreadable.strip())


def _is_alone(trainer: Trainer | None) -> bool:
    return trainer is None or trainer.world_size == 1
