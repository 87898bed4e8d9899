# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A pytest plugin for NeMo's own tests: the same seeds for each test, and each outcome as one line of JSON."""

import functools
import json
import os
import random

import numpy as np
import pytest
import torch


def pytest_configure():
    # The exporter that NeMo's tests were written for: torch 2.9 made another one the default, and it refuses the
    # arguments of NeMo's test of the Conformer.
    torch.onnx.export = functools.partial(torch.onnx.export, dynamo=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def pytest_runtest_logreport(report):
    # Setup and teardown count where they fail or skip; a later phase of the same test overwrites an earlier one.
    if report.when == "call" or report.outcome != "passed":
        _write(report.nodeid, report.outcome, _reason(report))


def pytest_collectreport(report):
    if report.failed:
        _write(report.nodeid, "not collected", _reason(report))


def _reason(report) -> str:
    """The line that says what went wrong, where there is one."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr or "")
    return text.strip().partition("\n")[0][:300]


def _write(test, outcome, reason):
    # Appended at once: a test that takes the interpreter down must not take the outcomes with it.
    with open(os.environ["NEMO_OUTCOMES"], "a") as file:
        file.write(json.dumps({"test": test, "outcome": outcome, "reason": reason}) + "\n")
