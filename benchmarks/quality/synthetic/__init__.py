# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Linear phone probes on frozen features: log-mel, a random encoder, and encoders pretrained with three contexts."""
