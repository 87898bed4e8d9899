# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a fork gets must not meet what it has, and must run by the fork's own settings; tests/inside_a_fork.py is the
proof with a whole fork."""

import configparser
import importlib
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from importlib import metadata
from pathlib import PurePosixPath

import pytest

from nemo_streaming_ssl.vendoring.contents import vendored_files

# Of the folders below `examples` that ours go to, wheels have nothing. This is what NeMo's repository has there.
OF_NEMOS_REPOSITORY = {
    "examples/asr/conf/ssl/nest/nest_fast-conformer.yaml",
    *(f"examples/asr/conf/ssl/nest/multi_layer_feat/nest_{name}_small.yaml" for name in ("ecapa_tdnn", "titanet")),
    *(
        f"examples/asr/speech_pretraining/{name}.py"
        for name in ("masked_token_pred_pretrain", "speech_pre_training", "extract_embeddings", "load_wav2vec_weights")
    ),
    "examples/asr/speech_pretraining/downstream/speech_classification_mfa_train.py",
    "examples/asr/speech_pretraining/README.md",
}


@pytest.fixture(scope="module")
def ours(stub):
    """The paths in a fork that are written."""
    return {PurePosixPath(name) for name in vendored_files(stub.repository)}


@pytest.fixture(scope="module")
def nemos():
    """The paths that the installed wheel has, and those of NeMo's repository that a wheel leaves out."""
    return {PurePosixPath(file) for file in metadata.files("nemo_toolkit")} | set(
        map(PurePosixPath, OF_NEMOS_REPOSITORY)
    )


@pytest.fixture
def script(stub, monkeypatch):
    """tests/inside_a_fork.py"""
    monkeypatch.syspath_prepend(str(stub.repository / "tests"))
    yield importlib.import_module("inside_a_fork")
    for name in ("inside_a_fork", "nemo_test_data"):
        sys.modules.pop(name, None)


class TestNamesThatMeetNoneOfNemos:
    def test_files_beside_the_patches(self, ours, nemos):
        meeting = {path for path in ours & nemos if path.parts[0] != "nemo"}
        assert len(ours) > 100 and len(nemos) > 500 and not meeting

    def test_test_files_of_which_python_knows_the_last_name_only(self, ours, nemos):
        # pytest's default mode imports them so: of two modules with one name it refuses the second
        names = [path.name for path in ours if path.parts[0] == "tests" and path.suffix == ".py"]
        tests_of_nemo = {path.name for path in nemos if path.parts[0] == "tests"}
        assert len(set(names)) == len(names)
        assert set(names) & tests_of_nemo <= {"conftest.py"}

    def test_folders_that_nemos_settings_keep_pytest_out_of(self, ours, script):
        settings = configparser.ConfigParser()
        settings.read_string(script.SETUP_CFG)
        patterns = settings["tool:pytest"]["norecursedirs"].split()
        folders = {part for path in ours if path.parts[0] == "tests" for part in path.parts[:-1]}
        assert not [folder for folder in folders if any(fnmatch(folder, pattern) for pattern in patterns)]

    def test_nothing_of_what_a_fork_lacks_is_used(self, stub, ours):
        files = [stub.repository / path for path in ours if path.parts[0] == "tests" and path.suffix == ".py"]
        words = ("nemo_streaming_ssl", '"NEMO_STREAMING_SSL"', "from benchmarks", "import benchmarks")
        assert not [file for file in files if any(word in file.read_text() for word in words)]


OURS = """
import hypothesis
import pytest
import torch


@pytest.mark.fix1(fails_with=IndexError, match="x")
@pytest.mark.limit(fails_with=IndexError, match="x")
def test_settings(compose_config):
    assert torch.get_num_threads() == 1
    assert IN_FORCE.derandomize
    assert compose_config("nest_fast-conformer_streaming")


IN_FORCE = hypothesis.settings(max_examples=1)


@pytest.mark.run_only_on("GPU")
def test_on_a_gpu():
    assert torch.cuda.is_available()
"""
CONFTEST_OF_THE_FORK = """
import torch

torch.set_num_threads(2)


def pytest_configure(config):
    config.addinivalue_line("markers", "run_only_on(device): as in NeMo, but nothing comes of it")
"""
OF_THE_FORK = """
import hypothesis
import pytest
import torch


def test_settings():
    assert torch.get_num_threads() == 2
    assert not IN_FORCE.derandomize


IN_FORCE = hypothesis.settings(max_examples=1)


@pytest.mark.run_only_on("GPU")
def test_that_decides_by_itself():
    pass
"""


# Hypothesis has settings of its own for CI.
RUN_TESTS = """
import os
import sys

for name in ("CI", "PYTEST_ADDOPTS"):
    os.environ.pop(name, None)
import pytest

sys.exit(pytest.main(["tests", "-p", "no:cacheprovider"]))
"""


class TestConftest:
    """Our conftest.py in a repository with settings of its own."""

    @pytest.fixture
    def fork(self, stub, tmp_path, script):
        files = {
            "setup.cfg": script.SETUP_CFG,
            "run_tests.py": RUN_TESTS,
            "tests/__init__.py": "",
            "tests/conftest.py": CONFTEST_OF_THE_FORK,
            "tests/before/test_a.py": OF_THE_FORK,
            "tests/streaming_ssl/room/test_ours.py": OURS,
            "tests/tts/test_b.py": OF_THE_FORK,
        }
        stub.files(tmp_path, files)
        shutil.copy(stub.repository / "tests/streaming_ssl/conftest.py", tmp_path / "tests/streaming_ssl")
        shutil.copytree(stub.repository / "tests/streaming_ssl/helpers", tmp_path / "tests/streaming_ssl/helpers")
        configs = "examples/asr/conf/ssl/nest"
        shutil.copytree(stub.repository / configs, tmp_path / configs)
        return tmp_path

    def test_our_settings_hold_for_our_tests_only(self, fork, children):
        done = children.run(fork / "run_tests.py", folder=fork, HYPOTHESIS_PROFILE="default")
        assert "5 passed, 1 skipped" in done.stdout, done.stdout + done.stderr


class TestScript:
    def test_what_tests_leave_in_the_tree_is_a_problem(self, script, stub, tmp_path, monkeypatch):
        done = subprocess.CompletedProcess([], 1, "ours.py was edited")
        monkeypatch.setattr(script, "vendor", lambda fork, *words: done)
        stub.files(tmp_path, {".gitignore": script.GITIGNORE, "a.py": ""})
        script.git(tmp_path, "init", "--quiet")
        script.commit(tmp_path, "all")
        stub.files(
            tmp_path, {"a.py": "x = 1", "lightning_logs/log": "", "tests/.data/archive": "", ".hypothesis/x": ""}
        )
        left = [f"the tests left in the tree: {line}" for line in (" M a.py", "?? lightning_logs/")]
        assert script.what_is_left(tmp_path) == [*left, "vendor --verify: ours.py was edited"]
