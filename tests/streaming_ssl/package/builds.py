# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Builds the package, and puts it into environments of their own."""

import json
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import packaging

from nemo_streaming_ssl.vendoring.contents import vendored_files

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("nemo", "nemo_streaming_ssl", "examples", "docs", "tests", "benchmarks")
# What using the folders leaves there, and what nobody means to publish.
LEFT_BEHIND = (
    "tests/streaming_ssl/masking/__pycache__/test_ssl_masking.cpython-311.pyc",
    "tests/streaming_ssl/.hypothesis/examples/a",
    "tests/streaming_ssl/.pytest_cache/README.md",
    "examples/asr/speech_pretraining/nemo_experiments/run/log.txt",
    "examples/asr/speech_pretraining/lightning_logs/version_0/hparams.yaml",
    "docs/clip.wav",
    "examples/model.nemo",
)
# The same, as patterns: the checkout may have some of it.
LEFT_OUT = ("__pycache__", ".hypothesis", ".pytest_cache", "nemo_experiments", "lightning_logs", "*.wav", "*.nemo")
# Left by an earlier build, of a file that is no longer in the overlay.
OLD_BUILD = "build/lib/nemo_streaming_ssl/_overlay/nemo/collections/asr/gone.py"
CODE = 'import sys, setuptools.build_meta as b; print(getattr(b, "build_" + sys.argv[1])(sys.argv[2]))'


class Release(NamedTuple):
    """What is released, as `make release` builds it, and the folder that the wheel was built in."""

    sdist: Path
    wheel: Path
    unpacked: Path
    shipped: set[str]  # what `vendor` writes into a fork, as paths of this repository


def write_release(folder: Path) -> None:
    """Builds an sdist of a copy of this repository, and a wheel of the sdist."""
    project = copy_project(folder / "it's a projéct")
    shipped = [file.relative_to(project).as_posix() for file in vendored_files(project).values()]
    (folder / "shipped.json").write_text(json.dumps(shipped))
    for name in LEFT_BEHIND:
        touch(project / name)
    shutil.unpack_archive(build(project, "sdist", folder), folder / "unpacked")
    unpacked = next((folder / "unpacked").iterdir())
    touch(unpacked / OLD_BUILD)
    build(unpacked, "wheel", folder)


def read_release(folder: Path) -> Release:
    """What `write_release` has left in a folder."""
    sdist, wheel, unpacked = (next(folder.glob(pattern)) for pattern in ("*.tar.gz", "*.whl", "unpacked/*"))
    return Release(sdist, wheel, unpacked, set(json.loads((folder / "shipped.json").read_text())))


def copy_project(folder: Path) -> Path:
    """A copy of what is released, so that nothing is written here."""
    folder.mkdir()
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
    return folder


def touch(file: Path) -> None:
    """An empty file, with the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()


def build(project: Path, kind: str, out: Path) -> Path:
    """Builds an 'sdist', a 'wheel' or an 'editable' of a project folder, as pip does."""
    out.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([sys.executable, "-c", CODE, kind, str(out)], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


def environment_in(folder: Path) -> SimpleNamespace:
    """A virtual environment with nothing but what every NeMo brings and we use."""
    venv.create(folder, with_pip=False, symlinks=True)
    site_packages = next(folder.glob("lib/python*/site-packages"))
    shutil.copytree(Path(packaging.__file__).parent, site_packages / "packaging")
    return SimpleNamespace(folder=folder, python=folder / "bin/python", site_packages=site_packages)


def put_into(environment: SimpleNamespace, wheel: Path) -> None:
    """Puts the files of a wheel where pip puts them, in less time; the command of the wheel is not made."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(environment.site_packages)


def pip(environment: SimpleNamespace, *words: object) -> None:
    """Runs pip for an environment."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", environment.python, *words]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
