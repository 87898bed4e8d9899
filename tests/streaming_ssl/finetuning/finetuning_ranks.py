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

"""One fine-tuning run as two ranks that are forked from one process: NeMo is imported once.

    python finetuning_ranks.py CONFIG.yaml FOLDER

The ranks start together, as under torchrun: rank 1 waits for the tokenizer of rank 0. Each writes `FOLDER/rank-r.pt`,
the encoder and the decoder after each step, or the error.
"""

import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
import lightning.pytorch as pl  # noqa: E402
import torch  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402
from rank_processes import free_port  # noqa: E402

from nemo.collections.asr.parts.finetuning import FineTuning  # noqa: E402
from nemo.utils.exp_manager import exp_manager  # noqa: E402

RANKS = 2


class Keep(pl.Callback):
    """Remembers the weights of encoder and decoder: before the first step and after each one."""

    def __init__(self):
        self.weights = []

    def _add(self, model):
        parts = {"encoder": model.encoder, "decoder": model.decoder}
        self.weights.append(
            {name: {n: p.detach().clone() for n, p in m.named_parameters()} for name, m in parts.items()}
        )

    def on_train_start(self, trainer, pl_module):
        self._add(pl_module)

    def on_train_batch_end(self, trainer, pl_module, *_):
        self._add(pl_module)


def run(cfg) -> list:
    """What the example script does."""
    torch.set_num_threads(1)
    pl.seed_everything(cfg.model.seed)
    keep = Keep()
    trainer = pl.Trainer(**cfg.trainer, callbacks=[keep])
    finetuning = FineTuning(cfg, trainer)
    folder = exp_manager(trainer, cfg.exp_manager)
    trainer.fit(finetuning.build(folder))
    return keep.weights


def rank(number: int, port: int, config: str, folder: str):
    """One rank, in a process of its own."""
    os.environ.update(RANK=str(number), LOCAL_RANK=str(number), NODE_RANK="0", WORLD_SIZE=str(RANKS))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    try:
        found = run(OmegaConf.load(config))
    except BaseException as error:
        found = repr(error)
    torch.save(found, Path(folder) / f"rank-{number}.pt")


if __name__ == "__main__":
    port, children = free_port(), []
    for number in range(RANKS):
        child = os.fork()
        if not child:
            rank(number, port, *sys.argv[1:])
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
