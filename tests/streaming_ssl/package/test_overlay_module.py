# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Files of the overlay that are imported without torch and NeMo."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from nemo_streaming_ssl.overlay import overlay_module

pytestmark = pytest.mark.any_release

ROOT = Path(__file__).resolve().parents[3]
# -S: a Python without site-packages
ALONE = """
from nemo_streaming_ssl.overlay import overlay_module
import sys
print(overlay_module("host").__file__)
print(sorted({"torch", "numpy", "nemo"} & {name.partition(".")[0] for name in sys.modules}))
"""


def run_alone(folder):
    command = [sys.executable, "-S", "-c", ALONE]
    done = subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


class TestOverlayModule:
    def test_a_checkout_needs_no_installed_package(self):
        file = ROOT / "nemo/collections/asr/parts/streaming/host.py"
        assert run_alone(ROOT) == [str(file), "[]"]

    def test_a_wheel_brings_it_along(self, release, tmp_path):
        with zipfile.ZipFile(release.wheel) as wheel:
            wheel.extractall(tmp_path)
        file = tmp_path / "nemo_streaming_ssl/_overlay/nemo/collections/asr/parts/streaming/host.py"
        assert run_alone(tmp_path) == [str(file), "[]"]

    def test_is_the_same_each_time(self):
        assert overlay_module("host") is overlay_module("host")

    def test_one_that_is_not_there_is_named_with_its_place(self):
        with pytest.raises(ModuleNotFoundError, match=r"parts.streaming.nix\.py is missing"):
            overlay_module("nix")
