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

"""What is done with blocks that are no commands: Python runs, YAML has known keys, JSON is a line of a manifest."""

import json
from typing import Iterator, Set

import pytest
import torch
import yaml
from fences import Fence, session
from omegaconf import OmegaConf
from shell_rules import run_command
from workplace import CONFIGS

from nemo.collections.asr.parts.lookahead import report_lookahead
from nemo.collections.asr.parts.manifests.entries import Entry, parse_entry
from nemo.collections.asr.parts.utils.ssl_config import OWN_KEYS

# NeMo's own keys that no shipped config has, and what reads them.
KEYS_OF_NEMO = {'init_from_nemo_model': 'ModelPT.maybe_init_from_pretrained_checkpoint'}


def run_python_block(fence: Fence, names: dict) -> None:
    """Runs a block as it stands, with the names that earlier ones of the page have left.

    An error points to the line of the page.
    """
    lines = '\n' * (fence.line - 1) + fence.text
    try:
        exec(compile(lines, str(fence.page), 'exec'), names)
    finally:
        torch.set_grad_enabled(True)


def check_yaml(fence: Fence, compose_config) -> None:
    """Each key is one of a shipped config or of ours; merged into a shipped config, nothing looks ahead."""
    given = yaml.safe_load(fence.text)
    unknown = {key for key in flattened(given) if not is_known(key, known_keys(compose_config))}
    assert not unknown, f'{fence.place}: no shipped config has {sorted(unknown)}'
    cfg = OmegaConf.create(OmegaConf.to_container(compose_config('nest_hierarchical_streaming')))
    report = report_lookahead(OmegaConf.merge(cfg, OmegaConf.create(given)))
    assert not report.violations, f'{fence.place}: {report}'


def flattened(value, path: str = '') -> Iterator[str]:
    """The dotted paths of all values that are no mappings."""
    if not isinstance(value, dict):
        yield path
        return
    for key, inner in value.items():
        yield from flattened(inner, f'{path}.{key}' if path else str(key))


def known_keys(compose_config) -> Set[str]:
    """The dotted keys of all shipped configs."""
    names = [file.stem for file in CONFIGS.glob('*.yaml')]
    return {key for name in names for key in flattened(OmegaConf.to_container(compose_config(name)))}


def is_known(key: str, shipped: Set[str]) -> bool:
    """True for a key of a shipped config, of our options by section, or of NeMo's that are named above."""
    first, second, third = [*key.split('.'), '', ''][:3]
    if key in shipped or first in KEYS_OF_NEMO:
        return True
    return first == 'model' and (second in OWN_KEYS[''] or third in OWN_KEYS.get(second, ()))


def check_json(fence: Fence) -> None:
    """Each line is one of a manifest."""
    for offset, line in enumerate(fence.text.splitlines()):
        assert json.loads(line)
        entry = parse_entry('manifest_filepath', offset + 1, line)
        assert isinstance(entry, Entry), f'{fence.place}: {entry}'


def check_console(fence: Fence) -> None:
    """Each command prints the lines that the block shows below it; `...` stands for any lines."""
    for command, shown in session(fence):
        printed = [line for line in run_command(command).splitlines() if line]
        missing = first_missing(shown, printed)
        if missing is not None:
            pytest.fail(f'{command.place}\ndoes not print\n{missing}\nhere, but\n' + '\n'.join(printed))


def first_missing(shown: list, printed: list):
    """The first line of `shown` that is not where it should be in `printed`; None if all are."""
    place, anywhere = 0, False
    for line in shown:
        if line == '...':
            anywhere = True
            continue
        rest = printed[place:]
        if line not in (rest if anywhere else rest[:1]):
            return line
        place, anywhere = place + rest.index(line) + 1, False
    return None if anywhere or place == len(printed) else '(the end)'
