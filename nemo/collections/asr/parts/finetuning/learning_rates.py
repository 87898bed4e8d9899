# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Rates of parts of a model: which of NeMo's schedulers keep them apart."""

from collections.abc import Mapping

# These give all groups of parameters the rate of the first one, or one that is no group's.
ONE_RATE = ("WarmupAnnealing", "T5InverseSquareRootAnnealing")


def check_rates(model: Mapping) -> None:
    """Checks that `model.optim_param_groups` is kept by the scheduler, and names parts that have a rate.

    Raises:
        ValueError: the scheduler gives all groups one rate; a group's rate is below the scheduler's `min_lr`.
    """
    groups, optim = model.get("optim_param_groups") or {}, model.get("optim") or {}
    rates = {name: group["lr"] for name, group in groups.items() if group is not None and group.get("lr") is not None}
    sched = optim.get("sched") or {}
    if not rates or not sched:
        return
    name = sched.get("name")
    constant = any(sched.get(option) for option in ("constant_steps", "constant_ratio"))
    if name in ONE_RATE or (name == "CosineAnnealing" and constant):
        extra = " with constant_steps" if name == "CosineAnnealing" else ""
        raise ValueError(
            f"model.optim.sched.name={name}{extra} gives all parts of the model one rate, but "
            f"model.optim_param_groups has {rates}; take another scheduler (CosineAnnealing), or leave the groups out"
        )
    for part, rate in rates.items():
        if rate < (sched.get("min_lr") or 0.0):
            option = f"model.optim_param_groups.{part}.lr={rate}"
            raise ValueError(f"{option}: must be at least model.optim.sched.min_lr={sched['min_lr']}")
