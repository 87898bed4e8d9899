# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Streaming self-supervised pretraining as a patch set over NeMo.

Every Python start imports this file (through the `.pth` file), so it imports nothing.
"""

__version__ = "0.1.0"

# The releases that the patches are tested with, oldest first; constraints/ has a file for each.
TESTED_NEMO = ("2.5.3", "2.6.2", "2.7.3", "3.0.0")
# Supported is what lies between them, both ends included.
OLDEST_NEMO = TESTED_NEMO[0]
NEWEST_NEMO = TESTED_NEMO[-1]
