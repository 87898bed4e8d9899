# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`python -m nemo_streaming_ssl`."""

import sys

from nemo_streaming_ssl.cli import main

sys.exit(main())
