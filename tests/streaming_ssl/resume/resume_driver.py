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

"""Runs the example several times, each time in processes of its own, and kills some of them.

    python resume_driver.py STAGES.json OVERRIDES...

A stage is `{"folder": where it writes, "ranks": 1, "kill": null or [rank, batches, signal], "options": [...]}`.
NeMo is imported once, and a process is forked for each rank. Rank r appends what each step was to
`FOLDER/steps-r.jsonl`; how the processes have ended is printed, one list of exit codes a stage.
"""

import json
import os
import runpy
import sys
from pathlib import Path

import lightning.pytorch as pl
import torch

import nemo.collections.asr.models  # noqa: F401

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rank_processes import free_port  # noqa: E402

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
            os.kill(os.getpid(), self._kill[2])


def run(stage, rank: int, port: int):
    """The example, as its command line would run it, on one rank."""
    folder, kill = Path(stage["folder"]), stage["kill"]
    recorder = Recorder(folder / f"steps-{rank}.jsonl", kill if kill and kill[0] == rank else None)
    if stage["ranks"] > 1:
        os.environ.update(LOCAL_RANK=str(rank), NODE_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))

    class Trainer(pl.Trainer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs, callbacks=[recorder])

    pl.Trainer = Trainer
    sys.argv = [str(EXAMPLE), *sys.argv[2:], *stage["options"], f"exp_manager.exp_dir={folder}"]
    sys.argv += [f"trainer.devices={stage['ranks']}", f"hydra.run.dir={folder}/hydra"]
    runpy.run_path(str(EXAMPLE), run_name="__main__")


def fork(stage, rank: int, port: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        run(stage, rank, port)
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # gloo's destructor can wait for ever


def main():
    torch.set_num_threads(1)
    for stage in json.loads(Path(sys.argv[1]).read_text()):
        Path(stage["folder"]).mkdir(exist_ok=True)
        port = free_port()
        children = [fork(stage, rank, port) for rank in range(stage["ranks"])]
        print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]), flush=True)


if __name__ == "__main__":
    main()
