# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Plants the faults of mutants.toml, one at a time, and says which of them no test has seen.

    python tests/mutants.py                  # tests of the touched room, then, if these saw nothing, of `make test`
    python tests/mutants.py --tier all       # then the long ones as well
    python tests/mutants.py --only 7 12      # these two once more

The faults are planted in copies of the repository, one for each job. Results are written as they come, and a run that
was interrupted goes on from there. It takes hours, and is no part of CI. Needs Python 3.11.
"""

import argparse
import hashlib
import json
import re
import signal
import sys
import tomllib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory
from threading import Lock

from inside_a_fork import REPOSITORY
from mutant_copies import Copy

FAULTS = REPOSITORY / "tests" / "mutants.toml"
TESTS = "tests/streaming_ssl"
ASR = "nemo/collections/asr"
# Packages, and the tests of each below tests/streaming_ssl. A file belongs to the longest path that it begins with.
ROOMS = {
    f"{ASR}/data": ("data",),
    f"{ASR}/losses": ("losses", "objectives"),
    f"{ASR}/metrics": ("models", "objectives"),
    f"{ASR}/models": ("models", "objectives"),
    f"{ASR}/models/objectives": ("objectives",),
    f"{ASR}/modules": ("contexts", "submodules"),
    f"{ASR}/modules/ssl_modules": ("modules", "models"),
    **{f"{ASR}/parts/{room}": (room,) for room in ("contexts", "finetuning", "lookahead", "manifests", "nonfinite")},
    **{f"{ASR}/parts/{room}": (room,) for room in ("resume", "streaming", "submodules")},
    f"{ASR}/parts/streaming/export": ("package/export", "streaming"),
    f"{ASR}/parts/utils": ("utils", "resume"),
    "nemo/utils/random_state.py": ("resume", "utils"),
    "nemo/utils": ("utils", "losses", "modules", "package/test_shadowing.py"),
    "nemo_streaming_ssl": ("package",),
    "nemo_streaming_ssl/onnx_session": ("package/export",),
    "nemo_streaming_ssl/vendoring": ("package/test_vendor.py", "package/test_vendor_kill.py"),
    "examples": ("example_scripts",),
}
# The tests of a tier by their mark, and how many seconds they may take, in the order in which they are asked.
TIERS = {"room": ("not long_run", 1800), "test": ("not long_run", 7200), "all": ("long_run", 7200)}
OPTIONS = ["-x", "-q", "-rfE", "--tb=short", "--disable-warnings", "-p", "no:cacheprovider"]
SEEN = ("seen", "hangs")


@dataclass(frozen=True)
class Fault:
    """An entry of mutants.toml."""

    number: int
    kind: str
    file: str
    old: str
    new: str
    harm: str

    @property
    def package(self) -> str:
        """The package that the file is in."""
        return max((package for package in ROOMS if self.file.startswith(f"{package}/")), key=len)

    @property
    def digest(self) -> str:
        """A result is that of this text of the fault."""
        return hashlib.sha256(f"{self.file}\0{self.old}\0{self.new}".encode()).hexdigest()[:12]

    def words(self, tier: str) -> list:
        """pytest's words for the tests of a tier."""
        rooms = [f"{TESTS}/{path}" for path in ROOMS[self.package]]
        # first the tests that have the file's name: most faults are seen by them
        named = [file for room in rooms for file in (REPOSITORY / room).rglob(f"test_*{Path(self.file).stem}*.py")]
        paths = [*(str(file.relative_to(REPOSITORY)) for file in named), *rooms] if tier == "room" else ["tests"]
        return [*paths, "-m", TIERS[tier][0], *OPTIONS]

    def problem(self) -> str:
        """Why the fault cannot be planted; empty if it can."""
        text = (REPOSITORY / self.file).read_text(encoding="utf-8")
        if text.count(self.old) != 1 or self.old == self.new:
            return f"fault {self.number}: its old text is {text.count(self.old)} times in {self.file}, must be once"
        compile(text.replace(self.old, self.new), self.file, "exec")
        return ""


class Results:
    """What came of each fault and tier, in a file with a line of JSON for each.

    Args:
        file: holds what earlier runs have found, if it is there
        faults: results of other texts do not count
        anew: numbers of faults whose results are not taken over
    """

    def __init__(self, file: Path, faults: list, anew: list):
        self.file, self.lock, self.found = file, Lock(), {}
        digests = {fault.number: fault.digest for fault in faults if fault.number not in anew}
        for line in file.read_text().splitlines() if file.is_file() else ():
            result = json.loads(line)
            if digests.get(result["number"]) == result["fault"]:
                self.found[result["number"], result["tier"]] = result
        file.parent.mkdir(parents=True, exist_ok=True)

    def add(self, fault: Fault, tier: str, outcome: str, detail: str) -> None:
        """Takes a result, prints it, and writes it at once."""
        result = dict(number=fault.number, tier=tier, outcome=outcome, detail=detail, fault=fault.digest)
        with self.lock, self.file.open("a") as file:
            self.found[fault.number, tier] = result
            file.write(json.dumps(result) + "\n")
            print(f"{fault.number:>3} {tier:<5} {outcome:<9} {fault.file}: {detail}", flush=True)

    def outcome(self, fault: Fault, tier: str) -> str:
        """`seen`, `hangs`, `not seen`, `error`, or `not run`."""
        return self.found.get((fault.number, tier), {}).get("outcome", "not run")

    def verdict(self, fault: Fault, last: str) -> str:
        """The outcome of the last tier that was asked, up to this one."""
        outcomes = [self.outcome(fault, tier) for tier in up_to(last)]
        return ([outcome for outcome in outcomes if outcome != "not run"] or ["not run"])[-1]


class Judge:
    """Asks the tests about each fault, tier after tier until one sees it.

    Args:
        copies: where faults can be planted
        results: what is known
        tiers: those that are asked
    """

    def __init__(self, copies: Queue, results: Results, tiers: list):
        self.copies, self.results, self.tiers = copies, results, tiers

    def ask(self, fault: Fault) -> None:
        """Asks what is not known yet."""
        copy = self.copies.get()
        try:
            for tier in self.tiers:
                if self.results.outcome(fault, tier) in ("not run", "error"):
                    self._ask(copy, fault, tier)
                if self.results.outcome(fault, tier) in SEEN:
                    return
        finally:
            self.copies.put(copy)

    def _ask(self, copy: Copy, fault: Fault, tier: str) -> None:
        seconds = TIERS[tier][1]
        with copy.planted(fault.file, fault.old, fault.new):
            outcome, detail = judged(*copy.run(fault.words(tier), seconds))
        if outcome == "seen" and judged(*copy.run([detail, *OPTIONS], seconds))[0] != "not seen":
            outcome, detail = "error", f"fails without the fault, too: {detail}"
        self.results.add(fault, tier, outcome, detail)


def judged(code, output: str) -> tuple:
    """What a run of pytest says of a fault: outcome, and the test that has seen it or what else there is to say."""
    failed = re.findall(r"^(?:FAILED|ERROR) (.+?::.+?)(?: - .*)?$", output, re.MULTILINE)
    last_line = output.strip().rpartition("\n")[2].strip(" =")[:200]
    if code is None:
        return "hangs", f"ran out of time: {last_line}"
    if code == 1 and failed:
        return "seen", failed[0]
    return ("not seen", last_line) if code == 0 else ("error", f"pytest ended with {code}: {last_line}")


def up_to(last: str) -> list:
    """The tiers up to one of them."""
    return list(TIERS)[: list(TIERS).index(last) + 1]


def table(faults: list, results: Results, title: str) -> str:
    """How many faults each tier saw, in Markdown, by `package` or `kind`."""
    groups = defaultdict(list)
    for fault in faults:
        groups[getattr(fault, title)].append(fault)
    columns = (title, "planted", "seen by its room", "by `make test`", "with the long tests")
    lines = ["| " + " | ".join(columns) + " |", "| --- |" + " ---: |" * (len(columns) - 1)]
    for name, group in [*sorted(groups.items()), ("all", faults)]:
        counts = [sum(results.verdict(fault, tier) in SEEN for fault in group) for tier in TIERS]
        lines.append("| " + " | ".join(map(str, (name, len(group), *counts))) + " |")
    return "\n".join(lines)


def summary(faults: list, results: Results, last: str) -> str:
    """The tables, and the faults that nobody saw or that could not be judged."""
    lines = [f"{table(faults, results, title)}\n" for title in ("package", "kind")]
    for fault in faults:
        verdict = results.verdict(fault, last)
        if verdict in ("not seen", "error"):
            lines.append(f"{verdict}: {fault.number} {fault.file} ({fault.kind}): {fault.harm}")
    not_run = sum(results.verdict(fault, last) == "not run" for fault in faults)
    return "\n".join([*lines, f"not run: {not_run} faults"] if not_run else lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=int, nargs="+", default=[], metavar="N", help="these, once more")
    parser.add_argument("--tier", choices=TIERS, default="test", help="the last tests that are asked (default: test)")
    parser.add_argument("--jobs", type=int, default=2, help="faults at a time (default: 2)")
    parser.add_argument("--results", type=Path, default=REPOSITORY / "build" / "mutants.jsonl", help="JSON lines")
    return parser.parse_args()


def ask_all(faults: list, results: Results, args: argparse.Namespace) -> None:
    """Judges faults in copies side by side."""
    with TemporaryDirectory(prefix="mutants_") as folder, ThreadPoolExecutor(args.jobs) as pool:
        made = list(pool.map(Copy, [Path(folder, str(number)) for number in range(args.jobs)]))
        copies: Queue = Queue()
        for copy in made:
            copies.put(copy)
        try:
            list(pool.map(Judge(copies, results, up_to(args.tier)).ask, faults))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # after Ctrl-C, or an error
            for copy in made:
                copy.close()


def main() -> int:
    """0 if all that were asked about were seen; 2 if a fault cannot be planted."""
    args = arguments()
    faults = [Fault(**entry) for entry in tomllib.loads(FAULTS.read_text(encoding="utf-8"))["fault"]]
    problems = [problem for fault in faults if (problem := fault.problem())]
    if problems:
        print(*problems, sep="\n")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that copies and processes go
    results = Results(args.results, faults, args.only)
    asked = [fault for fault in faults if not args.only or fault.number in args.only]
    ask_all(asked, results, args)
    print("\n" + summary(faults, results, args.tier))
    return int(any(results.verdict(fault, args.tier) not in SEEN for fault in asked))


if __name__ == "__main__":
    sys.exit(main())
