# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""How good are the features of an encoder that this repository has pretrained? See `docs/quality.md`."""
