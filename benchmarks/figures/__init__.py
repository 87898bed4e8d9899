# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The pictures of README and docs, each made by code: `python -m benchmarks.figures`."""
