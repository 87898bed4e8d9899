# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The training example as one rank, which is stopped at some moment.

    python resume_driver.py FOLDER STOP OVERRIDES...

Rank r appends what each step was to `FOLDER/steps-r.jsonl`. STOP is null, or [rank, moment, signal, whom] in JSON. The
moment is a number of batches, or what the run is at: loading, training, updating, validating or saving. A signal
reaches the process alone ("process"), or with all that it has started ("group"), as from `scancel`; of a "terminal"
the run's own hears Ctrl-C.
"""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import lightning.pytorch as pl
import torch

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/asr/speech_pretraining/hierarchical_streaming_nest.py"


class Recorder(pl.Callback):
    """Writes each step down."""

    def __init__(self, file: Path):
        self._file = file

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        loss = outputs["loss"].item() * trainer.accumulate_grad_batches
        contexts = [left for left, _ in pl_module.encoder.layer_contexts]
        step = [trainer.current_epoch, batch_idx, loss, batch.audio_len.tolist(), trainer.global_step, contexts]
        with open(self._file, "a") as file:
            print(json.dumps(step), file=file)


class Stop(pl.Callback):
    """Has this process stopped when a moment comes for the first time."""

    HOOKS = {
        "training": "on_before_backward",
        "updating": "on_before_optimizer_step",
        "validating": "on_validation_batch_end",
    }

    def __init__(self, moment, number: int, whom: str):
        self._moment, self._number, self._whom, self._sent = moment, number, whom, False
        self._terminal = open_terminal() if whom == "terminal" else None
        if moment in self.HOOKS:
            setattr(self, self.HOOKS[moment], lambda *_: self._send())
        if moment == "saving":
            self._when_called(torch, "save")

    def on_train_start(self, trainer, pl_module):
        if self._moment == "loading":
            self._when_called(trainer.train_dataloader, "collate_fn")

    def on_train_batch_end(self, trainer, *_):
        if trainer.fit_loop.epoch_loop.total_batch_idx + 1 == self._moment:
            self._send()

    def _when_called(self, owner, name: str):
        called = getattr(owner, name)

        def stopped(*args, **options):
            self._send()
            return called(*args, **options)

        setattr(owner, name, stopped)

    def _send(self):
        if self._sent:
            return
        self._sent = True
        if self._whom == "terminal":
            os.write(self._terminal, b"\x03")
        elif self._whom == "group":
            # by somebody else: a worker obeys the process that has started it
            subprocess.run(["kill", f"-{self._number}", "--", f"-{os.getpgrp()}"], start_new_session=True, check=True)
        else:
            os.kill(os.getpid(), self._number)


def open_terminal() -> int:
    """Gives this process, which has none, a terminal; where that one's keys are pressed."""
    keys, screen = os.openpty()
    os.close(os.open(os.ttyname(screen), os.O_RDWR))
    assert os.tcgetpgrp(screen) == os.getpgrp()
    return keys


def main(folder: Path, stop, overrides: list):
    """Runs the example, as its command line would."""
    rank = int(os.environ.get("RANK", 0))
    callbacks = [Recorder(folder / f"steps-{rank}.jsonl")]
    if stop and stop[0] == rank:
        callbacks.append(Stop(*stop[1:]))

    class Trainer(pl.Trainer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs, callbacks=callbacks)

    pl.Trainer = Trainer
    sys.argv = [str(EXAMPLE), *overrides, f"exp_manager.exp_dir={folder}", f"hydra.run.dir={folder}/hydra"]
    runpy.run_path(str(EXAMPLE), run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:])
