# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Ctrl-C and SIGTERM: heard at once, obeyed by all ranks together at the next place between two batches."""

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing import context
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from nemo.utils.ranks import has_ranks, largest_of_all_ranks

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_STOP = 1.0  # s: launchers pass a signal on that has reached the whole process group already
HEARD = "\n{name}: training stops after this batch and saves a checkpoint. Once more ends it at once.\n"


class _Deaf:
    """A process that is started with both signals blocked, and stays so; only its parent's SIGTERM ends it."""

    def start(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            super().start()  # type: ignore[misc]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def run(self) -> None:
        threading.Thread(target=_end_when_told, daemon=True).start()
        super().run()  # type: ignore[misc]


def _end_when_told() -> None:
    """Python's exit sends SIGTERM to children whose loader is still in use, and waits for them without limit."""
    parent = multiprocessing.parent_process()
    while parent is not None:
        if signal.sigwaitinfo({signal.SIGTERM}).si_pid == parent.pid:
            os._exit(0)


class _DeafFork(_Deaf, context.ForkProcess):
    pass


class _DeafSpawn(_Deaf, context.SpawnProcess):
    pass


class _DeafForkServer(_Deaf, context.ForkServerProcess):
    pass


class _ForkContext(context.ForkContext):
    Process = _DeafFork


class _SpawnContext(context.SpawnContext):
    Process = _DeafSpawn


class _ForkServerContext(context.ForkServerContext):
    Process = _DeafForkServer


_CONTEXTS = {"fork": _ForkContext, "spawn": _SpawnContext, "forkserver": _ForkServerContext}


def deafen_workers(loader: Any) -> None:
    """Has the workers of a data loader, or of each in (nested) lists, leave both signals to the process that trains.

    Ctrl-C in a terminal and `scancel` reach the whole process group. A worker that dies takes the next batch with it,
    and the run fails before it has saved. A function of the worker would come too late: PyTorch has workers hear
    SIGTERM before it calls one. Workers end with their parent: they look for it while they wait. On macOS, where
    nobody can tell who has sent a signal, workers stay as they are.
    """
    if not hasattr(signal, "sigwaitinfo"):
        return
    if isinstance(loader, (list, tuple)):
        for each in loader:
            deafen_workers(each)
    elif isinstance(loader, DataLoader) and loader.num_workers > 0:
        given = loader.multiprocessing_context or multiprocessing
        loader.multiprocessing_context = _CONTEXTS[given.get_start_method()]()


class StopSignals:
    """Listens for the first signal that asks for a stop. A second one ends the process at once.

    A trainer that is torn down puts back the handlers that it has found, so these need no removal.
    """

    def __init__(self) -> None:
        self._first: int | None = None
        self._time = 0.0
        self._trainer: Trainer | None = None
        self._before: dict[int, Any] = {}

    def listen(self, trainer: Trainer) -> None:
        """Takes the place of the signals' handlers; only the main thread can."""
        self._trainer = trainer
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}

    def ignore(self) -> None:
        """Puts back the handlers that were there, if ours are still in place."""
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._hear:
                signal.signal(number, handler)
        self._before = {}

    @property
    def is_pending(self) -> bool:
        """True if this process has heard a signal."""
        return self._first is not None

    def heard(self, trainer: Trainer) -> int | None:
        """The signal that any rank has heard, None if none has; to be called by all ranks at the same places."""
        if trainer.world_size == 1 or not has_ranks():
            return self._first
        number = torch.tensor(self._first or 0, device=trainer.strategy.root_device)
        return int(largest_of_all_ranks(number)) or None

    def _hear(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first, self._time = number, now
            # a logger may be in the middle of a line
            os.write(2, HEARD.format(name=signal.Signals(number).name).encode())
        elif now - self._time >= SAME_STOP:
            self._end(number)

    def _end(self, number: int) -> None:
        launcher = self._trainer.strategy.launcher if self._trainer is not None else None
        if launcher is not None and hasattr(launcher, "kill"):
            launcher.kill(signal.SIGKILL)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
