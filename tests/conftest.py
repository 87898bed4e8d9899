# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Writes down how long each phase of each test takes, in the file that the variable TEST_DURATIONS names."""

import csv
import os
import time
from pathlib import Path


def pytest_configure(config):
    file = os.environ.get("TEST_DURATIONS")
    if file and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(file)))


class Recorder:
    """Writes a row (seconds, phase, test) as soon as the phase is over."""

    def __init__(self, file: Path):
        self._started = time.perf_counter()
        self._file = open(file, "w", newline="", buffering=1)
        self._rows = csv.writer(self._file)
        self._rows.writerow(["seconds", "phase", "test"])

    def _write(self, seconds: float, phase: str, test: str):
        self._rows.writerow([f"{seconds:.3f}", phase, test])

    def pytest_collection_finish(self, session):
        if session.items:  # with several processes they collect, not this one
            self._write(time.perf_counter() - self._started, "collection", "")

    def pytest_xdist_node_collection_finished(self, node, ids):
        self._write(time.perf_counter() - self._started, "collection", node.gateway.id)

    def pytest_runtest_logreport(self, report):
        self._write(report.duration, report.when, report.nodeid)

    def pytest_unconfigure(self):
        self._file.close()
