# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Processes that share the work of an experiment."""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from threading import Thread
from typing import Any, NoReturn


@contextlib.contextmanager
def workers(jobs: int, set_up: Callable[..., object], *arguments: Any) -> Iterator[Callable[..., Iterator[Any]]]:
    """A `map` over `jobs` processes, each of which begins with `set_up(*arguments)`; one job runs in this process.
    The processes end with this one, also when it is killed."""
    if jobs == 1:
        yield map
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, initializer=begin, initargs=(set_up, *arguments)) as pool:
        yield pool.map


def begin(set_up: Callable[..., object], *arguments: Any) -> None:
    """What a worker does first."""
    Thread(target=end_with_parent, daemon=True).start()
    set_up(*arguments)


def end_with_parent() -> NoReturn:
    """Waits for the parent's end, then ends this process without further ado: hours of work would go on unseen."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker
    parent.join()
    os._exit(1)
