# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The example as a process that is killed and started again with the same command."""

import json
import signal
import subprocess
from functools import partial

import pytest
import resume_runs as runs
from torch.utils.data import DataLoader

from nemo.collections.asr.parts.resume.checkpoint_files import is_whole
from nemo.collections.asr.parts.resume.stop_signals import deafen_workers

# 5 batches an epoch, of which every second is validated after; a curriculum over the optimizer steps
OPTIONS = """
    trainer.max_epochs=2 trainer.accelerator=cpu trainer.val_check_interval=2 trainer.accumulate_grad_batches=2
    trainer.gradient_clip_val=0.5 trainer.enable_progress_bar=false trainer.sync_batchnorm=false
    model.hierarchical_context.schedule=[[0,[8,0]],[1,[16,0]]] model.encoder.att_context_size=[16,0]
    model.curriculum_context.enabled=true model.curriculum_context.start_context=2
    model.curriculum_context.end_context=16 model.curriculum_context.warmup_steps=6
    exp_manager.create_tensorboard_logger=false +exp_manager.seconds_to_sleep=0
""".split()
RANKS = {
    1: ["trainer.devices=1", "trainer.strategy=auto"],
    2: ["trainer.devices=2", "trainer.strategy=ddp_find_unused_parameters_true", "model.train_ds.batch_size=1"],
}


@pytest.fixture(scope="module")
def run(children, tmp_path_factory):
    """run(name, ranks, stop, workers): the example in a folder of this name; how each of its ranks has ended."""
    folder = tmp_path_factory.mktemp("processes")
    manifests = runs.make_data(folder)

    def stage(name, ranks=1, stop=None, workers=2):
        (folder / name).mkdir(exist_ok=True)
        options = [*runs.OPTIONS, *OPTIONS, *runs.data_options(manifests, workers), *RANKS[ranks]]
        words = ["resume_driver.py", folder / name, json.dumps(stop), *options]
        if ranks > 1:
            return children.ranks(*words, count=ranks, check=False)
        with children.start(*words) as child:
            return [child.wait()]

    stage.folder = folder
    return stage


@pytest.fixture(scope="module")
def whole(run):
    """What a run has written that nobody has stopped."""
    assert [rank.returncode for rank in run("one")] == [0]
    return steps(run.folder / "one")[0]


@pytest.fixture(scope="module")
def ended(run, whole):
    """How the processes have ended, by stage, and the folder in which the stages have run."""
    stages = [run("killed", stop=[0, 3, signal.SIGTERM, "process"])]
    stages += [run("killed", stop=[0, 5, signal.SIGINT, "process"])]
    stages += [run("killed", stop=[0, 8, signal.SIGKILL, "process"]), run("killed")]
    stages += [run("two", 2), run("stopped", 2, stop=[1, 3, signal.SIGTERM, "process"]), run("stopped", 2)]
    codes = [[rank.returncode for rank in ranks] for ranks in stages]
    return codes, run.folder, "\n".join(rank.stderr[-2000:] for ranks in stages for rank in ranks)


def steps(folder, rank=0):
    """What a run has written at each batch, and which batches it has computed more than once."""
    seen, again = {}, set()
    for line in (folder / f"steps-{rank}.jsonl").read_text().splitlines():
        epoch, batch, *rest = json.loads(line)
        if (epoch, batch) in seen:
            again.add((epoch, batch))
            assert seen[epoch, batch] == rest
        seen[epoch, batch] = rest
    return seen, again


@pytest.mark.long_run
class TestKilledProcesses:
    def test_signals_end_a_process_as_lightning_does(self, ended):
        codes, _, log = ended
        assert codes == [[0], [1], [-signal.SIGKILL], [0], [0, 0], [0, 0], [0, 0]], log

    def test_the_killed_run_is_the_uninterrupted_one(self, ended, whole):
        _, folder, _ = ended
        killed, again = steps(folder / "killed")
        assert list(whole) == [(epoch, batch) for epoch in range(2) for batch in range(runs.BATCHES)]
        assert killed == whole
        # computed twice: what an accumulation had begun, and what SIGKILL has kept from being saved
        assert again <= {(0, 2), (1, 2)}

    def test_so_it_is_on_two_ranks_of_which_one_was_told(self, ended):
        _, folder, _ = ended
        seen = []
        for rank in (0, 1):
            whole, _ = steps(folder / "two", rank)
            stopped, _ = steps(folder / "stopped", rank)
            assert stopped == whole
            seen.append(whole)
        utterances = [length for rank in seen for place, step in rank.items() if place[0] == 0 for length in step[1]]
        assert len(set(utterances)) == len(utterances) == runs.UTTERANCES
        # another rank, other masks: the same would give losses that are hardly ever different
        assert all(seen[0][place][0] != seen[1][place][0] for place in seen[0])


class TestWorkers:
    @pytest.mark.representative("None", "fork")
    @pytest.mark.parametrize("method", [None, "fork", "spawn", "forkserver"])
    def test_leave_both_signals_to_their_parent(self, method):
        # the worker blocks what it loads, and returns what was blocked
        blocked = partial(signal.pthread_sigmask, signal.SIG_BLOCK)
        loader = DataLoader([signal.SIGUSR1], num_workers=1, collate_fn=blocked, multiprocessing_context=method)
        deafen_workers([None, [loader]])
        before = blocked(())
        assert list(loader) == [{signal.SIGINT, signal.SIGTERM}]
        assert blocked(()) == before

    def test_end_when_their_parent_ends_them(self):
        """As Python does at its own end, while something still refers to their loader."""
        loader = DataLoader([7], num_workers=1, persistent_workers=True)
        deafen_workers(loader)
        assert list(loader) == [7]
        (worker,) = loader._iterator._workers
        subprocess.run(["kill", str(worker.pid)], check=True)  # another process than the parent: not heard
        assert list(loader) == [7]
        worker.terminate()
        worker.join(60)
        assert worker.exitcode == 0

    def test_a_loader_without_workers_stays_what_it_is(self):
        loader = DataLoader([7])
        deafen_workers(loader)
        assert loader.multiprocessing_context is None and list(loader) == [7]


class TestWhoeverIsSignalled:
    """Ctrl-C in a terminal and `scancel` reach the data workers, too, at any moment."""

    MOMENTS = ("loading", "training", "updating", "validating", "saving")

    @pytest.mark.representative("group-2")
    @pytest.mark.parametrize("workers", [0, 2, 8])
    @pytest.mark.parametrize("whom", ["group", "terminal"])
    def test_each_stop_saves_and_the_run_goes_on_to_the_bit(self, run, whole, whom, workers):
        name, number = f"{whom}-{workers}", signal.SIGINT if whom == "terminal" else signal.SIGTERM
        files = set()
        for moment in self.MOMENTS:
            (stopped,) = run(name, stop=[0, moment, number, whom], workers=workers)
            assert stopped.returncode == (whom == "terminal"), f"{moment}\n{stopped.stderr[-3000:]}"
            (file,) = (run.folder / name).rglob("*last.ckpt")
            assert is_whole(file)
            files.add(file.stat().st_mtime_ns)
        assert len(files) == len(self.MOMENTS)  # each stop has saved
        (rest,) = run(name, workers=workers)
        assert rest.returncode == 0, rest.stderr[-3000:]
        assert steps(run.folder / name)[0] == whole
