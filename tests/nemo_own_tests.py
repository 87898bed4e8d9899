# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Runs tests that NeMo itself ships, without the patches and with them: what passes without must pass with them.

    python tests/nemo_own_tests.py

Both runs start from the same copy of the tests, side by side, with the same seeds and without a network; NeMo's test
data is replaced by a small archive of our own (`nemo_test_data.py`). A test that needs NeMo's real data or a
pretrained model fails or is skipped in both runs, which is fine. The exit code is 1 if a test got worse.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib import metadata
from pathlib import Path

from nemo_test_data import write_archive, write_hub_cache

REPOSITORY = Path(__file__).resolve().parents[1]
SIDES = ("off", "on")
# The newest release whose wheel ships tests, for those whose wheel does not.
LAST_WITH_TESTS = "2.7.3"
# Below `tests/collections/asr`: what uses a module that is shadowed, and runs in seconds without a network.
SELECTION = (
    "test_ssl_models.py",
    "test_conformer_encoder.py",
    "test_asr_subsampling.py",
    "test_asr_local_attn.py",
    "test_asr_modules.py",
    "test_asr_ctcencdec_model.py",
    "test_asr_ctc_encoder_model_bpe.py",
    "test_asr_interctc_models.py",
    "test_asr_rnnt_encdec_model.py",
    "test_asr_rnnt_encoder_model_bpe.py",
    "test_asr_hybrid_rnnt_ctc_model_char.py",
    "test_asr_hybrid_rnnt_ctc_model_bpe.py",
    "test_asr_exportables.py",
    "test_padding_and_batch_size_invariance.py",
    "mixins/test_transcription.py",
    "mixins/adapters/test_asr_adapter_mixin.py",
    "mixins/adapters/test_asr_adapter_modules.py",
    "decoding/test_streaming_buffer.py",
    "decoding/test_streaming_decoding.py",
    "decoding/test_ctc_decoding.py",
    "decoding/test_rnnt_decoding.py",
)
# Exports of convolutional models: they take longest, and nothing of ours is in them.
DESELECTED = tuple(
    f"test_asr_exportables.py::TestExportable::test_{name}"
    for name in (
        "EncDecRNNTModel_export_to_ts",
        "EncDecCitrinetModel_export_to_onnx",
        "EncDecCitrinetModel_limited_SE_export_to_onnx",
        "EncDecClassificationModel_export_to_onnx",
        "EncDecSpeakerLabelModel_export_to_onnx",
    )
)


def main() -> int:
    """Prints each test that got worse, and the numbers; 1 if there is one, or if too little ran to mean anything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="folder for copies and results (default: below build/)")
    parser.add_argument("words", nargs="*", help="more words for pytest, after '--'")
    args = parser.parse_args()
    release = metadata.version("nemo_toolkit")
    work = args.work or REPOSITORY / "build" / "nemo_own_tests" / release
    source = shipped_tests(work)
    running = [start_side(work / side, side, source, args.words) for side in SIDES]
    codes = [process.wait() for process in running]
    off, on = (read_outcomes(work / side / "outcomes.jsonl") for side in SIDES)
    return report(release, off, on, codes, work)


def shipped_tests(work: Path) -> Path:
    """The folder `tests` of the installed release, or of the last release that ships one."""
    installed = Path(sysconfig.get_paths()["purelib"], "tests")
    if (installed / "collections" / "asr" / "conftest.py").is_file():
        return installed
    unpacked = work / "shipped"
    if not (unpacked / "tests" / "conftest.py").is_file():
        with zipfile.ZipFile(_download_wheel(work)) as wheel:
            wheel.extractall(unpacked, [name for name in wheel.namelist() if name.startswith("tests/")])
    return unpacked / "tests"


def _download_wheel(work: Path) -> Path:
    wheels = work / "wheels"
    requirement = f"nemo_toolkit=={LAST_WITH_TESTS}"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--only-binary=:all:", "--dest", wheels, requirement], check=True)
    return next(wheels.glob(f"nemo_toolkit-{LAST_WITH_TESTS}-*.whl"))


def start_side(folder: Path, side: str, source: Path, words) -> subprocess.Popen:
    """Starts pytest on a fresh copy of the tests; its output goes to `output.txt`, its results to `outcomes.jsonl`."""
    shutil.rmtree(folder, ignore_errors=True)
    copy_tests(source, folder / "tests")
    write_archive(folder / "tests" / ".data" / "test_data.tar.gz")
    write_hub_cache(folder / "hub")
    # It keeps pytest from looking for a configuration further up.
    (folder / "pytest.ini").write_text("[pytest]\n")
    files = [f"tests/collections/asr/{name}" for name in SELECTION]
    files = [name for name in files if (folder / name).is_file()]
    options = ["-p", "nemo_outcomes", "-p", "no:cacheprovider", "--continue-on-collection-errors", "--tb=short"]
    # "with downloads" is also what NeMo says of tests that need nothing but its test data
    options += ["--cpu", "--use_local_test_data", "--with_downloads"]
    options += [f"--deselect=tests/collections/asr/{name}" for name in DESELECTED]
    with open(folder / "output.txt", "w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *files, *options, *words],
            cwd=folder,
            env=environment(side, folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def copy_tests(source: Path, target: Path) -> None:
    """Copies the parts of `tests` that the selection needs."""
    (target / "collections").mkdir(parents=True)
    for name in ("__init__.py", "conftest.py", "collections/__init__.py"):
        if (source / name).is_file():
            shutil.copy(source / name, target / name)
    folder = target / "collections" / "asr"
    shutil.copytree(source / "collections" / "asr", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in folder.rglob("*.py"):
        file.write_text(without_marked_fixtures(file.read_text()))
    exports = folder / "test_asr_exportables.py"
    exports.write_text(on_cpu(exports.read_text()))


def without_marked_fixtures(text: str) -> str:
    """Takes marks off fixtures, where they never meant anything; pytest 9 refuses files that have them."""
    mark, fixture = r"(?: *@pytest\.mark\..*\n)*", r"( *@pytest\.fixture.*\n)"
    return re.sub(f"(?m)^{mark}{fixture}{mark}", r"\1", text)


def on_cpu(text: str) -> str:
    """Lets tests that NeMo runs on a GPU run without one: an export does not depend on it."""
    return text.replace("    @pytest.mark.run_only_on('GPU')\n", "").replace(".cuda()", ".cpu()")


def environment(side: str, folder: Path) -> dict:
    """The same conditions for both sides, but for the switch."""
    return {
        **os.environ,
        "NEMO_STREAMING_SSL": side,
        "NEMO_OUTCOMES": str(folder / "outcomes.jsonl"),
        "PYTHONPATH": str(Path(__file__).parent),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_CACHE": str(folder / "hub"),
        "HF_HUB_OFFLINE": "1",
        # A download fails at once, on machines with and without a network alike: nobody listens there.
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
        "no_proxy": "",
        "CUDA_VISIBLE_DEVICES": "",
    }


def read_outcomes(file: Path) -> dict:
    """(outcome, reason) by test, from one JSON object a line: a run that crashed leaves what it had done."""
    lines = file.read_text().splitlines() if file.is_file() else []
    outcomes = (json.loads(line) for line in lines)
    return {outcome["test"]: (outcome["outcome"], outcome["reason"]) for outcome in outcomes}


def report(release, off, on, codes, work) -> int:
    """Prints what got worse, and the numbers; the exit code."""
    passed = [{test for test, (outcome, _) in side.items() if outcome == "passed"} for side in (off, on)]
    worse = sorted(passed[0] - passed[1])
    for test in worse:
        outcome, reason = on.get(test, ("not run", f"pytest ended with {codes[1]}: {work}/on/output.txt"))
        print(f"WORSE  {test}\n       {outcome}: {reason}")
    better = passed[1] - passed[0]
    print(f"NeMo {release}'s own tests: {len(passed[0])} passed off, {len(passed[1])} passed on,", end=" ")
    print(f"{len(better)} better, {len(worse)} worse (of {len(off)}; output: {work})")
    if not passed[0]:
        print(f"nothing passed without the patches, so this says nothing: {work}/off/output.txt")
    return 1 if worse or not passed[0] else 0


if __name__ == "__main__":
    sys.exit(main())
