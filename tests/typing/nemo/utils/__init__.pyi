# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""For the type checker: it takes the folder of our files for all of `nemo.utils`, where NeMo has these."""

from typing import Any

logging: Any
logging_mode: Any
model_utils: Any
