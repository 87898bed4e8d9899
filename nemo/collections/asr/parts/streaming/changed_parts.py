# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Parts of a model that are not NeMo's own where streaming does not call them but does what they do by itself."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from nemo.collections.asr.parts.submodules.causal_convs import CausalConv2D

KNOWN = ("nemo", "torch")  # packages whose classes and hooks streaming knows
# Modules that a stream's frames go through as they are, with hooks, parametrisations and whatever class they have.
CALLED = {"linear1", "linear2", "linear_q", "linear_k", "linear_v", "linear_pos", "linear_out", "activation"}
CALLED |= {"norm_feed_forward1", "norm_self_att", "norm_conv", "norm_feed_forward2", "norm_out", "batch_norm"}
CALLED |= {"out", "out_proj", "adapter_layer", "parametrizations"}
ADVICE = "streaming does not go through it. allow_changed=[{name!r}] lets it pass if streams equal the offline pass"


def changed_parts(model: Any) -> dict[str, str]:
    """What each changed part of a model is, by its name in the model; an empty name is the model itself."""
    changes = {}
    for own in _own_methods(model, only=("forward",)):
        changes[""] = own
    for name, module in _replaced("encoder", model.encoder):
        found = [*_own_methods(module), *_instance_methods(module), *_hooks(module)]
        if found:
            changes[name] = ", ".join(found)
    return changes


def changes_refused(model: Any, allow_changed: Sequence[str]) -> list[str]:
    """The changed parts that nobody vouches for, for people; what all layers have alike is said once.

    Args:
        model: with an `encoder` that has `layers`
        allow_changed: names of parts; `encoder.layers.*` is all parts of layers

    Raises:
        ValueError: `allow_changed` is a string, or names what is not changed
    """
    changes = changed_parts(model)
    unknown = [name for name in allow_changed if not any(fnmatchcase(changed, name) for changed in changes)]
    if isinstance(allow_changed, str) or unknown:
        allowed = f"changed are {', '.join(map(repr, changes))}" if changes else "nothing is changed"
        raise ValueError(f"allow_changed={allow_changed!r}: must be a list of names of changed parts; {allowed}")
    refused = {
        name: what for name, what in changes.items() if not any(fnmatchcase(name, each) for each in allow_changed)
    }
    grouped = _grouped(refused, len(model.encoder.layers))
    return [f"{name or 'the model'}: {what}; {ADVICE.format(name=name)}" for name, what in grouped]


def _grouped(changes: dict[str, str], layers: int) -> list[tuple[str, str]]:
    """Changes by name, with `*` in place of the number where all layers have the same one."""
    alike: dict[tuple[str, str], list[str]] = {}
    for name, what in changes.items():
        alike.setdefault((re.sub(r"^encoder\.layers\.\d+", "encoder.layers.*", name), what), []).append(name)
    return [
        (name, what)
        for (all_layers, what), names in alike.items()
        for name in ([all_layers] if len(names) == layers > 1 else names)
    ]


def _replaced(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """A module and those in it which streaming does not call."""
    yield name, module
    for child_name, child in module.named_children():
        is_stage = isinstance(module, nn.Sequential) and name.endswith("pre_encode.conv")
        if child_name not in CALLED and (not is_stage or isinstance(child, CausalConv2D)):
            yield from _replaced(f"{name}.{child_name}", child)


def _package(what: Any) -> str:
    return (getattr(what, "__module__", None) or type(what).__module__).partition(".")[0]


def _own_methods(module: Any, only: Sequence[str] = ()) -> Iterator[str]:
    """Methods of NeMo's or PyTorch's class that a class of somebody else replaces, of these names if there are any
    given; otherwise also a class that has none of NeMo's or PyTorch's behind it."""
    classes = type(module).__mro__
    known = next(cls for cls in classes if _package(cls) in KNOWN or cls is object)
    own = classes[: classes.index(known)]
    names = {name for cls in own for name in vars(cls) if name == "__call__" or not name.startswith("__")}
    names = {name for name in names if callable(getattr(known, name, None))}
    if only:
        names &= set(only)
    if own and (names or (known in (nn.Module, object) and not only)):
        title = f"{own[0].__module__}.{own[0].__qualname__}"
        yield f"{title} has its own {', '.join(sorted(names))}" if names else f"{title} is no class of NeMo"


def _instance_methods(module: nn.Module) -> Iterator[str]:
    own = [name for name, value in vars(module).items() if callable(value) and _package(value) not in KNOWN]
    names = [name for name in own if callable(getattr(type(module), name, None))]
    if names:
        yield f"{', '.join(sorted(names))} of this {type(module).__name__} was replaced"


def _hooks(module: nn.Module) -> Iterator[str]:
    hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    for hook in hooks:
        if _package(hook) not in KNOWN:
            yield f"has the forward hook {getattr(hook, '__module__', None)}.{getattr(hook, '__qualname__', hook)}"
