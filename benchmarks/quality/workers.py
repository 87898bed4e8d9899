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

"""Processes that share the work of an experiment."""

import contextlib
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from threading import Thread
from typing import Callable, Iterator


@contextlib.contextmanager
def workers(jobs: int, set_up: Callable, *arguments) -> Iterator:
    """A `map` over `jobs` processes, each of which begins with `set_up(*arguments)`; one job runs in this process.
    The processes end with this one, also when it is killed."""
    if jobs == 1:
        yield map
        return
    spawn = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(jobs, spawn, initializer=begin, initargs=(set_up, *arguments)) as pool:
        yield pool.map


def begin(set_up: Callable, *arguments):
    """What a worker does first."""
    Thread(target=end_with_parent, daemon=True).start()
    set_up(*arguments)


def end_with_parent():
    """Waits for the parent's end, then ends this process without further ado: hours of work would go on unseen."""
    multiprocessing.parent_process().join()
    os._exit(1)
