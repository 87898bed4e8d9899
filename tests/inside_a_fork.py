# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Writes the patch set into a fork of NeMo, and runs our tests there, where the overlay package is not installed.

    python tests/inside_a_fork.py

The fork is the installed NeMo in a git repository, with changes and tests of its own. Its environment sees the fork
and the libraries of this one, but neither the package `nemo_streaming_ssl` nor its import finder. The exit code is 1
if a test fails, if the tests leave anything in the fork's tree, or if `vendor --verify` then finds a difference.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from nemo_test_data import write_archive

REPOSITORY = Path(__file__).resolve().parents[1]
# What a clone of NeMo has at its root, as far as the wheel ships it.
FOLDERS = ("nemo", "tests", "examples", "scripts")
# pytest's settings as they are in NeMo: with `examples`, `docs` and `scripts` among the folders without tests.
SETUP_CFG = """[tool:pytest]
addopts = --verbose --pyargs --durations=0 --strict-markers
testpaths = tests
norecursedirs = nemo nemo_text_processing external examples docs scripts tools tutorials *.egg .* build dist venv
markers =
    unit: a single function, well isolated
    integration: elements in a subsystem
    system: the highest level of integration
    acceptance: what users were promised
    docs: documentation
    skipduringci: not in CI
    pleasefixme: broken
"""
GITIGNORE = "__pycache__/\n.pytest_cache/\n.hypothesis/\ntests/.data/\n"
ASR = "nemo/collections/asr"
# The fork's own work, by file: what is put at its end. The first three files are shadowed by ours.
ADDED = {
    f"{ASR}/models/ssl_models.py": 'EncDecMaskedTokenPredModel.fork_says = lambda self: "models of the fork"',
    f"{ASR}/modules/conformer_encoder.py": 'ConformerEncoder.fork_option = "encoder of the fork"',
    f"{ASR}/losses/ssl_losses/mlm.py": 'def fork_helper():\n    return "losses of the fork"',
    f"{ASR}/modules/ssl_modules/multi_softmax_decoder.py": 'MultiSoftmaxDecoder.fork_option = "decoder of the fork"',
}
# A default that the fork has changed, in the second of them.
CHANGED = (f"{ASR}/modules/conformer_encoder.py", "pos_emb_max_len=5000", "pos_emb_max_len=4000")
FORKS_TESTS = """
import importlib.util
import sys
from pathlib import Path

import nemo
from nemo.collections.asr.losses.ssl_losses import mlm
from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel, ssl_models
from nemo.collections.asr.modules import ConformerEncoder, MultiSoftmaxDecoder, conformer_encoder


def test_nemo_is_the_forks():
    assert Path(nemo.__file__).parents[1] == Path(__file__).parents[2]


def test_the_overlay_package_is_absent():
    assert importlib.util.find_spec("nemo_streaming_ssl") is None
    assert not [finder for finder in sys.meta_path if hasattr(finder, "is_nemo_overlay")]


def test_changes_of_the_fork_are_in_effect():
    assert mlm.fork_helper() == "losses of the fork"
    assert EncDecDenoiseMaskedTokenPredModel.fork_says(None) == "models of the fork"
    assert ConformerEncoder.fork_option == "encoder of the fork"
    assert MultiSoftmaxDecoder.fork_option == "decoder of the fork"
    encoder = ConformerEncoder(feat_in=8, n_layers=1, d_model=8, n_heads=1)
    assert encoder.pos_emb_max_len == encoder.max_audio_length == 4000


def test_the_patches_are_in_effect():
    for module, base in ((mlm, "_mlm_base"), (ssl_models, "_ssl_models_base")):
        assert Path(module.__file__).with_name(base + ".py").is_file()
    encoder = ConformerEncoder(feat_in=8, n_layers=2, d_model=8, n_heads=1, conv_context_size="causal")
    encoder.set_layer_contexts([[4, 0], [8, 0]])
    assert [layer.self_attn.att_context_size for layer in encoder.layers] == [[4, 0], [8, 0]]
"""


def main() -> int:
    """Prints what is wrong, and a summary as the last line; 1 if anything is wrong."""
    args = arguments()
    with TemporaryDirectory(prefix="inside_a_fork_") as folder:
        work = (args.work or Path(folder)).resolve()
        fork = work / "fork"
        write_fork(fork)
        vendor(fork)
        commit(fork, "streaming self-supervised pretraining")
        write_environment(work / "venv", [fork, *installed_libraries()])
        tests = run_tests(fork, work / "venv" / "bin" / "python", args.words)
        problems = [] if tests.code == 0 else [f"pytest ended with {tests.code}"]
        problems += what_is_left(fork)
    for problem in problems:
        print(f"PROBLEM {problem}")
    release = metadata.version("nemo_toolkit")
    print(f'inside a fork of NeMo {release}: {"; ".join(problems) or "all is well"}; {tests.summary}')
    return 1 if problems else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="an empty folder in which the fork stays (default: a temporary one)")
    parser.add_argument("--junitxml", type=Path, help="pytest's report")
    parser.add_argument("words", nargs="*", help="more words for pytest, after '--'")
    args = parser.parse_args()
    if args.junitxml:
        args.words.append(f"--junitxml={args.junitxml.resolve()}")
    return args


def write_fork(fork: Path) -> None:
    """Writes a fork of the installed NeMo: NeMo's files are its first commit, its own work is the second."""
    for file in metadata.files("nemo_toolkit"):
        if file.parts[0] in FOLDERS and "__pycache__" not in file.parts:
            write(fork / file, file.read_binary())
    write(fork / "setup.cfg", SETUP_CFG.encode())
    write(fork / ".gitignore", GITIGNORE.encode())
    git(fork, "init", "--quiet")
    commit(fork, "NeMo")
    for name, text in ADDED.items():
        write(fork / name, (fork / name).read_bytes() + f"\n\n{text}\n".encode())
    name, before, after = CHANGED
    text = (fork / name).read_text()
    if before not in text:
        raise RuntimeError(f"{name} of the installed NeMo has no {before}")
    write(fork / name, text.replace(before, after).encode())
    write(fork / "tests" / "of_the_fork" / "test_changes_of_the_fork.py", FORKS_TESTS.encode())
    commit(fork, "the work of the fork")


def write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def git(fork: Path, *words) -> str:
    """What git says; it depends on nobody's settings."""
    command = ["git", "-c", "user.name=fork", "-c", "user.email=fork@example.com", "-c", "core.autocrlf=false", *words]
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")
    return subprocess.run(command, cwd=fork, env=env, check=True, capture_output=True, text=True).stdout


def commit(fork: Path, message: str) -> None:
    git(fork, "add", "--all")
    git(fork, "commit", "--quiet", "--message", message)


def vendor(fork: Path, *words) -> subprocess.CompletedProcess:
    """`nemo-streaming-ssl vendor FORK`; it must succeed unless there are more words."""
    command = [sys.executable, "-m", "nemo_streaming_ssl", "vendor", str(fork), *words]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode and not words:
        raise RuntimeError(f"vendor ended with {done.returncode}:\n{done.stdout}")
    return done


def installed_libraries() -> list:
    """The folders of this environment's packages."""
    paths = sysconfig.get_paths()
    return list(dict.fromkeys([paths["purelib"], paths["platlib"]]))


def write_environment(folder: Path, paths: list) -> None:
    """Makes a virtual environment that finds packages in these folders.

    Python reads the `.pth` files of an environment's own folder only, not those of a folder that such a file names. So
    the import finder, which a `.pth` file of this environment starts, is not started there.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    own = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    own = subprocess.run([python, "-c", own], check=True, capture_output=True, text=True).stdout.strip()
    Path(own, "fork.pth").write_text("\n".join(map(str, paths)) + "\n")


@dataclass
class Outcome:
    """How pytest ended."""

    code: int
    summary: str  # its last line


def run_tests(fork: Path, python: Path, words: list) -> Outcome:
    """Runs our tests and the fork's in its environment, and prints what pytest prints."""
    options = ["-p", "no:cacheprovider", "--durations=5", "--tb=short", "--disable-warnings", "-qq"]
    if (fork / "tests" / "conftest.py").is_file():
        # NeMo's options: no GPU, and test data that is there instead of a download
        write_archive(fork / "tests" / ".data" / "test_data.tar.gz")
        options += ["--cpu", "--use_local_test_data"]
    process = subprocess.Popen(
        [str(python), "-m", "pytest", "tests/of_the_fork", "tests/streaming_ssl", *options, *words],
        cwd=fork,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line.strip(" =\n") or last
    return Outcome(process.wait(), last)


def environment() -> dict:
    """The variables for the fork's Python, without what would bring ours back."""
    ours = ("NEMO_STREAMING_SSL", "PYTHONPATH", "PYTEST_ADDOPTS", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def what_is_left(fork: Path) -> list:
    """What the tests have changed in the fork's tree, and what `vendor --verify` finds."""
    left = git(fork, "status", "--porcelain").splitlines()
    problems = [f"the tests left in the tree: {line}" for line in left]
    verified = vendor(fork, "--verify")
    return problems + ([f"vendor --verify: {verified.stdout}"] if verified.returncode else [])


if __name__ == "__main__":
    sys.exit(main())
