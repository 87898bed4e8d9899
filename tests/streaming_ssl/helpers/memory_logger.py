# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A logger for tests."""

from lightning.pytorch.loggers import Logger


class MemoryLogger(Logger):
    """Remembers what is logged, by step."""

    name, version = "memory", 0

    def __init__(self):
        super().__init__()
        self.logged = {}

    def log_hyperparams(self, params, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        self.logged.setdefault(step, {}).update(metrics)
