# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Checkpoints of runs that were killed: each file is whole or passed over, whatever was being written or deleted."""

import os
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import OmegaConf

from nemo.collections.asr.parts.resume import ExactResume, recover_checkpoints
from nemo.collections.asr.parts.resume.checkpoint_files import AtomicCheckpointIO, is_whole
from nemo.utils.exp_manager import check_resume, get_log_dir


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The bytes of a checkpoint."""
    file = tmp_path_factory.mktemp("saved") / "a.ckpt"
    torch.save({"state_dict": {"weight": torch.arange(100.0)}, "global_step": 3}, file)
    return file.read_bytes()


@pytest.fixture
def resumed(tmp_path, saved):
    """resumed(*files, **options): what a run goes on from in a folder of these files, the oldest first; or None."""

    def found(*names, **options):
        folder = tmp_path / "checkpoints"
        folder.mkdir(exist_ok=True)
        for age, name in enumerate(names):
            name, _, state = name.partition(" ")
            content = {"torn": saved[: len(saved) // 2], "empty": b"", "zeros": bytes(len(saved))}.get(state, saved)
            (folder / name).write_bytes(content)
            os.utime(folder / name, (age, age))
            if state == "marked":
                (folder / name.replace(".ckpt", "-unfinished")).touch()
        defaults = {"resume_if_exists": True, "resume_ignore_no_checkpoint": True, "explicit_log_dir": str(tmp_path)}
        cfg = OmegaConf.create({**defaults, **options})
        OmegaConf.set_struct(cfg, True)
        for _ in range(2):  # each rank does it
            recover_checkpoints(cfg)
        trainer = SimpleNamespace(ckpt_path=None)
        keys = "resume_if_exists", "resume_ignore_no_checkpoint", "resume_from_checkpoint"
        check_resume(trainer, str(tmp_path), **{key: cfg[key] for key in keys if key in cfg})
        return trainer.ckpt_path and os.path.basename(trainer.ckpt_path)

    found.folder = tmp_path / "checkpoints"
    return found


class TestIsWhole:
    @given(length=st.floats(0, 1, exclude_max=True))
    def test_no_beginning_of_a_file_is(self, saved, tmp_path_factory, length):
        file = tmp_path_factory.getbasetemp() / "cut.ckpt"
        file.write_bytes(saved[: int(length * len(saved))])
        assert not is_whole(file)

    @pytest.mark.parametrize("form", [True, False], ids=["zip", "before PyTorch 1.6"])
    def test_a_file_is(self, tmp_path, form):
        torch.save({"a": torch.ones(3)}, tmp_path / "a.ckpt", _use_new_zipfile_serialization=form)
        assert is_whole(tmp_path / "a.ckpt")


class TestAtomicCheckpointIO:
    def test_a_file_is_whole_before_it_has_its_name(self, tmp_path, monkeypatch):
        rename, seen = os.replace, []

        def renamed(part, place):
            seen.append((is_whole(part), place.exists()))
            rename(part, place)

        monkeypatch.setattr(os, "replace", renamed)
        AtomicCheckpointIO().save_checkpoint({"a": torch.ones(3)}, tmp_path / "new" / "a.ckpt")
        assert seen == [(True, False)] and torch.load(tmp_path / "new" / "a.ckpt")["a"].sum() == 3

    @pytest.mark.parametrize("failure", [OSError("no space left on device"), KeyboardInterrupt()])
    def test_what_fails_leaves_the_file_that_was_there(self, tmp_path, monkeypatch, failure):
        def fail(checkpoint, file):
            file.write(b"PK\x03\x04")
            raise failure

        place = tmp_path / "a.ckpt"
        AtomicCheckpointIO().save_checkpoint({"a": 1}, str(place))
        monkeypatch.setattr(torch, "save", fail)
        with pytest.raises(type(failure)):
            AtomicCheckpointIO().save_checkpoint({"a": 2}, str(place))
        assert torch.load(place) == {"a": 1} and os.listdir(tmp_path) == ["a.ckpt"]

    @pytest.mark.parametrize("plain", [True, False])
    def test_a_run_has_it_in_place_of_lightnings_only(self, plain):
        before = TorchCheckpointIO() if plain else type("Other", (TorchCheckpointIO,), {})()
        trainer = SimpleNamespace(strategy=SimpleNamespace(checkpoint_io=before), callbacks=[ModelCheckpoint()])
        ExactResume().setup(trainer, None, "fit")
        after = trainer.strategy.checkpoint_io
        assert isinstance(after, AtomicCheckpointIO) if plain else after is before


class TestRecoverCheckpoints:
    @pytest.mark.parametrize("state", ["torn", "empty", "zeros"])
    def test_what_is_cut_short_is_passed_over(self, resumed, state):
        assert resumed("step=2-last.ckpt", f"step=4-last.ckpt {state}") == "step=2-last.ckpt"
        assert (resumed.folder / "step=4-last.ckpt.torn").exists()

    def test_then_any_other_that_is_whole_is_better_than_none(self, resumed):
        files = ["step=2.ckpt", "step=4.ckpt", "step=4-EMA.ckpt", "step=6-last.ckpt torn", "step=8.ckpt torn"]
        assert resumed(*files, resume_ignore_no_checkpoint=False) == "step=4.ckpt"

    def test_a_file_that_the_user_names_comes_first(self, resumed):
        named = "/elsewhere/step=9.ckpt"
        assert resumed("step=4.ckpt", "step=6-last.ckpt torn", resume_from_checkpoint=named) == "step=9.ckpt"

    def test_nothing_is_left(self, resumed):
        assert resumed("step=2-last.ckpt torn") is None

    def test_of_two_the_newer_is_taken(self, resumed):
        assert resumed("step=4-last.ckpt", "step=12-last.ckpt") == "step=12-last.ckpt"
        assert (resumed.folder / "step=4-last.ckpt.old").exists()

    def test_a_whole_one_that_is_marked_as_unfinished(self, resumed):
        """It was being replaced, or the run was killed before the mark was deleted."""
        assert resumed("step=4-last.ckpt marked") == "step=4-last.ckpt"
        assert os.listdir(resumed.folder) == ["step=4-last.ckpt"]

    def test_a_link_to_a_file_that_is_gone(self, resumed):
        resumed.folder.mkdir()
        (resumed.folder / "step=6-last.ckpt").symlink_to("step=6.ckpt")
        assert resumed("step=4.ckpt") == "step=4.ckpt"

    def test_others_are_left_alone(self, resumed):
        files = ["step=2.ckpt", "step=3.ckpt torn", "step=4-last.ckpt", "x.ckpt.part", "x.nemo empty"]
        assert resumed(*files) == "step=4-last.ckpt"
        assert sorted(os.listdir(resumed.folder)) == ["step=2.ckpt", "step=3.ckpt", "step=4-last.ckpt", "x.nemo"]
        assert resumed("step=5-last.ckpt torn", resume_if_exists=False) is None
        assert (resumed.folder / "step=5-last.ckpt").exists()

    @pytest.mark.parametrize(
        "options",
        [{}, {"exp_dir": "a", "name": "b"}, {"exp_dir": "a", "version": "c"}, {"explicit_log_dir": "a"}],
    )
    @pytest.mark.parametrize("dirpath", [None, "d"])
    def test_it_looks_where_nemo_looks(self, tmp_path, monkeypatch, options, dirpath, saved):
        monkeypatch.chdir(tmp_path)
        folder = (
            dirpath or get_log_dir(SimpleNamespace(logger=None), resume_if_exists=True, **options)[0] / "checkpoints"
        )
        file = tmp_path / folder / "step=4-last.ckpt"
        file.parent.mkdir(parents=True)
        file.write_bytes(saved[:-1])
        callback = {"checkpoint_callback_params": {"dirpath": dirpath}}
        recover_checkpoints(OmegaConf.create({"resume_if_exists": True, **options, **callback}))
        assert not file.exists() and file.with_name("step=4-last.ckpt.torn").exists()

    @pytest.mark.parametrize("options", [None, {}, {"checkpoint_callback_params": {"dirpath": "s3://bucket/folder"}}])
    def test_what_it_leaves_to_nemo(self, options):
        if options is not None:
            options = OmegaConf.create({"resume_if_exists": True, "exp_dir": "/nowhere", **options})
        before = OmegaConf.to_yaml(options) if options else None
        recover_checkpoints(options)
        assert not options or OmegaConf.to_yaml(options) == before
