# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""What of a batch could not be used.

A report is made where the batch is loaded, travels in it, is counted in the main process and listed once an epoch.
"""

from collections import Counter
from typing import Any, Dict, Iterator, List, Optional

from nemo.utils import logging
from nemo.utils.ranks import from_all_ranks

LISTED = 100  # a rank and an epoch
# So many batches in a row without a single good utterance are not a few bad files: the storage is gone.
MOST_EMPTY_BATCHES = 50


class BadAudioReport:
    """What of a batch could not be used; it is made in the process that loads the batch.

    Args:
        utterances: manifest, line, file and reason of each utterance that was left out
        noise: the same of each noise that was drawn and could not be used
        is_empty: whether no utterance was left
    """

    def __init__(self, utterances: List[str], noise: List[str], is_empty: bool):
        self.utterances, self.noise, self.is_empty = utterances, noise, is_empty

    def __iter__(self) -> Iterator:
        """Nothing: Lightning looks for tensors in all that a batch has, to learn how large it is."""
        return iter(())


def report_of(batch: Any) -> Optional[BadAudioReport]:
    """The report that travels in a batch; None if it has none."""
    if isinstance(batch, (tuple, list)):
        return next((item for item in batch if isinstance(item, BadAudioReport)), None)
    return getattr(batch, "bad_audio", None)


class BadAudioLog:
    """Counts the reports of an epoch's batches, and lists them at its end, over all ranks.

    Args:
        name: of the data, `train` or `val`, in the log
    """

    def __init__(self, name: str):
        self.name = name
        self._empty_in_a_row = 0
        self._reset()

    def _reset(self):
        self._utterances: Counter = Counter()
        self._noise: Counter = Counter()

    def add(self, batch: Any) -> bool:
        """Counts what a batch reports, and says the first of an epoch at once.

        Returns:
            whether the batch is without any good utterance
        Raises:
            RuntimeError: for a long time no utterance could be read
        """
        report = report_of(batch)
        if report is None:
            return False
        if (report.utterances or report.noise) and not (self._utterances or self._noise):
            first = (report.utterances + report.noise)[0]
            logging.warning(f"on_bad_audio=skip: {first}. All are listed at the end of the epoch.")
        self._utterances.update(report.utterances)
        self._noise.update(report.noise)
        self._empty_in_a_row = self._empty_in_a_row + 1 if report.is_empty else 0
        if self._empty_in_a_row >= MOST_EMPTY_BATCHES:
            raise RuntimeError(
                f"on_bad_audio=skip: no utterance of {self._empty_in_a_row} batches could be used, the last one was "
                f"{report.utterances[-1]}"
            )
        return report.is_empty

    def pop(self) -> Dict[str, float]:
        """Lists what was skipped since the last call, over all ranks, each of which must call this.

        Returns:
            `{name}_bad_utterances`, how many were left out, and `{name}_bad_noise`, how often noise that was drawn
            could not be used
        """
        ranks = from_all_ranks((self._utterances, self._noise))
        self._reset()
        values = {}
        for kind, counters in zip(("utterances", "noise"), zip(*ranks)):
            values[f"{self.name}_bad_{kind}"] = float(sum(sum(counter.values()) for counter in counters))
            self._list(kind, counters)
        return values

    def _list(self, kind: str, counters):
        together = sum(counters, Counter())
        if not together:
            return
        lines = [f"  {text}{f' ({times} times)' if times > 1 else ''}" for text, times in together.most_common(LISTED)]
        if len(together) > LISTED:
            lines.append(f"  and {len(together) - LISTED} more")
        what = "utterances left out" if kind == "utterances" else "draws of noise in vain, other noise was taken,"
        logging.warning(f"{self.name}: {sum(together.values())} {what} in this epoch:\n" + "\n".join(lines))
