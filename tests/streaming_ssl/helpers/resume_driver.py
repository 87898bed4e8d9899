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

"""The training example as one rank, which is killed after some batches.

    python resume_driver.py FOLDER KILL OVERRIDES...

Rank r appends what each step was to `FOLDER/steps-r.jsonl`. KILL is null, or [rank, batches, signal, whom] in JSON:
the process alone ("process"), or with all that it has started ("group"), as Ctrl-C in a terminal and `scancel` do.
"""

import json
import os
import runpy
import sys
from pathlib import Path

import lightning.pytorch as pl

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/asr/speech_pretraining/hierarchical_streaming_nest.py"


class Recorder(pl.Callback):
    """Writes each step down, and kills its own process after some batches of all."""

    def __init__(self, file: Path, kill):
        self._file, self._kill = file, kill

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        loss = outputs["loss"].item() * trainer.accumulate_grad_batches
        contexts = [left for left, _ in pl_module.encoder.layer_contexts]
        step = [trainer.current_epoch, batch_idx, loss, batch.audio_len.tolist(), trainer.global_step, contexts]
        with open(self._file, "a") as file:
            print(json.dumps(step), file=file)
        if self._kill is not None and trainer.fit_loop.epoch_loop.total_batch_idx + 1 == self._kill[1]:
            (os.kill if self._kill[3] == "process" else os.killpg)(os.getpid(), self._kill[2])


def main(folder: Path, kill, overrides: list):
    """Runs the example, as its command line would."""
    rank = int(os.environ.get("RANK", 0))
    recorder = Recorder(folder / f"steps-{rank}.jsonl", kill if kill and kill[0] == rank else None)

    class Trainer(pl.Trainer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs, callbacks=[recorder])

    pl.Trainer = Trainer
    sys.argv = [str(EXAMPLE), *overrides, f"exp_manager.exp_dir={folder}", f"hydra.run.dir={folder}/hydra"]
    runpy.run_path(str(EXAMPLE), run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:])
