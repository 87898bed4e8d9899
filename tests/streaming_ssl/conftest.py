# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import importlib
import logging
import os
import random
import shutil
import sys
from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import settings
from omegaconf import OmegaConf

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples/asr/speech_pretraining"
sys.path += map(str, (HERE / "helpers", EXAMPLES, EXAMPLES / "demo"))

from children import Children  # noqa: E402

# The markers of the tests below this folder, for the `--strict-markers` of a repository that does not know them.
MARKERS = (
    "run_only_on(device): runs only where that device ('CPU' or 'GPU') is in use",
    "any_release: says the same with every NeMo release, because it uses none; the matrix runs it on one",
    "long_run: takes long (training runs, compilers); `make test-all` runs it, on the oldest and the newest release",
    "representative(*ids): `make test` runs the cases with these ids; all other cases of the test are long runs",
    # what follows takes how the test fails on plain NeMo: fails_with, match, since, before
    "fix1: masked-token loss: decoder and mask time dimensions differ",
    "fix2: masking: types and bounds",
    "fix3: masking: devices and dtypes",
    "fix4: models: streaming parameters reach the masking",
    "fix5: curriculum hook",
    "fix6: per-layer contexts validated",
    "fix7: schedule parsing",
    "limit: another failure of plain NeMo that the patches mend",
)

# the same examples at every run, and no verdict by the clock; the matrix asks for more of them on the newest release
EXAMPLES_OF_A_PROPERTY = int(os.environ.get("TEST_EXAMPLES", 30))
settings.register_profile(
    "reproducible", derandomize=True, deadline=None, print_blob=False, max_examples=EXAMPLES_OF_A_PROPERTY
)


def is_ours(item) -> bool:
    """True below this folder: some hooks of a conftest.py are called for the tests of every folder."""
    return HERE in item.path.parents


def pytest_configure(config):
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    """Tests take Hypothesis's settings when their file is read; files of other folders keep their own."""
    before = settings.get_current_profile_name()
    settings.load_profile("reproducible")
    yield
    settings.load_profile(before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """The models of these tests are tiny: more threads only wait for each other."""
    threads = torch.get_num_threads()
    if is_ours(item):
        torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def mark_long_runs(items, whole_files: bool):
    """Marks the cases of a test with representatives that are none of them; an id that no case has is an error."""
    missing = {}
    for item in items:
        if marker := item.get_closest_marker("representative"):
            missing.setdefault(item.nodeid.partition("[")[0], set(marker.args)).discard(item.callspec.id)
            if item.callspec.id not in marker.args:
                item.add_marker("long_run")
    missing = {test: ids for test, ids in missing.items() if ids}
    if missing and whole_files:
        raise pytest.UsageError(f"representatives that are no cases of their tests: {missing}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Marks long runs, and skips what is marked `run_only_on('GPU')` where there is none."""
    mark_long_runs(items, whole_files=not any("::" in word for word in config.args))
    for item in items:
        marker = item.get_closest_marker("run_only_on")
        if marker and marker.args == ("GPU",) and not torch.cuda.is_available() and is_ours(item):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def seeds():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """(a folder that all processes of this test run share, the process that ends last)."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        return folder.parent, os.getppid()
    return folder, os.getpid()


@pytest.fixture(scope="session")
def children(run_folder):
    """Starts processes that have the NeMo of this one, without the seconds that importing it takes."""
    return Children(*run_folder)


@pytest.fixture(scope="session")
def made_once(run_folder):
    """made_once(name, make): a folder that `make(folder)` fills once in a run, in the worker that comes first.

    What is in it belongs to all tests: nobody may change it. A `make` that fails is called again by the next one.
    """

    def made(name, make):
        folder, is_made = run_folder[0] / "made_once" / name, run_folder[0] / "made_once" / f"{name}.is_made"
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not is_made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                is_made.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def lhotse_samplers():
    """Skips where Lhotse is too old for PyTorch to make a sampler, as the one that NeMo 2.6.2 pins."""
    import lhotse
    from lhotse.dataset import DynamicCutSampler

    try:
        DynamicCutSampler(lhotse.CutSet([]), max_duration=1.0)
    except TypeError as error:
        pytest.skip(f"lhotse {lhotse.__version__} with torch {torch.__version__}: {error}")


@pytest.fixture
def nemo_warnings(caplog):
    """What NeMo's logger warns of, by calling it; also after a test that has told the logger to be silent."""
    from nemo.utils import logging as nemo_logging

    logger = logging.getLogger("nemo_logger")  # it passes nothing on to the handlers above it
    logger.addHandler(caplog.handler)
    with nemo_logging.temp_verbosity(logging.WARNING):
        yield lambda: [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    logger.removeHandler(caplog.handler)


CONFIGS = HERE.parents[1] / "examples/asr/conf/ssl/nest"

TINY = """
    model.streaming=false model.objective=masked_tokens model.train_ds=null model.validation_ds=null
    model.num_classes=64 model.encoder.d_model=32 model.encoder.n_layers=2 model.encoder.n_heads=4
    model.encoder.ff_expansion_factor=2 model.encoder.subsampling_conv_channels=8
""".split()

# what makes nest_fast-conformer_streaming.yaml differ from NeMo's own nest_fast-conformer.yaml
LIKE_NEMO = """
    ~model.masking.causal ~model.masking.left_context_size ~model.masking.context_stride ~model.masking.max_mask_ratio
    ~model.seed ~model.objective ~model.next_tokens ~model.target_normalize ~model.masked_only_decoding
    ~model.on_bad_audio ~model.on_nonfinite
    ~model.encoder.banded_attention
    model.preprocessor.normalize=per_feature model.encoder.att_context_size=[-1,-1]
    model.encoder.causal_downsampling=false model.encoder.conv_context_size=null
    model.encoder.conv_norm_type=batch_norm
""".split()


@lru_cache
def composed_once(name, *overrides):
    """A shipped config, as Hydra composes it."""
    with initialize_config_dir(str(CONFIGS), version_base=None):
        return compose(name, list(overrides))


@pytest.fixture(scope="session")
def compose_config():
    """Composes one of the shipped configs: compose_config(name, *overrides, base=(what many tests override)).

    Hydra composes each base once, and its own functions apply the overrides: composing anew took half of the time.
    """

    def composed(name, *overrides, base=()):
        cfg = deepcopy(composed_once(name, *base))
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        ConfigLoaderImpl._apply_overrides_to_config(parsed, cfg)
        return cfg

    return composed


@pytest.fixture(scope="session")
def nest_config(compose_config):
    """A tiny model's config: the streaming one, or with `like_nemo=True` one that plain NeMo knows every key of."""

    def config(*overrides, like_nemo=False):
        base = TINY + (LIKE_NEMO if like_nemo else [])
        cfg = compose_config("nest_fast-conformer_streaming", *overrides, base=base)
        return OmegaConf.create(OmegaConf.to_container(cfg, resolve=True)).model

    return config


@pytest.fixture(scope="session")
def plain_models():
    """The module `plain_models`: small models with none of our options."""
    return importlib.import_module("plain_models")


@pytest.fixture(scope="session")
def next_config(nest_config):
    """A tiny model's config that asks for next tokens; what the shipped config says of them is overridden."""

    def config(*overrides, steps=4, first=None, **changes):
        cfg = nest_config(*overrides)
        cfg.objective, cfg.next_tokens = "next_tokens", {"steps": steps, "first": first}
        cfg.preprocessor.dither = 0.0
        return OmegaConf.merge(cfg, OmegaConf.create(changes))

    return config
