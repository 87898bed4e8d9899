# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""How well, and how soon, a recogniser writes: its whole pass, its stream, its exported graphs."""
