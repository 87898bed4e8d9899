# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Files of the overlay that need neither torch nor NeMo, for machines that have neither.

Their own names, `nemo.collections...`, cannot be imported there. So this module is also a package, of the files that
lie in the overlay's `parts/streaming`, and these import each other relatively.
"""

import importlib
import os
from typing import Any

from nemo_streaming_ssl.finder import overlay_root

FOLDER = os.path.join("nemo", "collections", "asr", "parts", "streaming")

__path__ = [os.path.join(overlay_root() or os.path.dirname(os.path.dirname(os.path.abspath(__file__))), FOLDER)]


def overlay_module(name: str) -> Any:
    """A file of the overlay's `parts/streaming` that imports neither torch, NumPy nor NeMo; the same one each time.

    Args:
        name: without folder and ending

    Raises:
        ModuleNotFoundError: there is no such file; it says where it was expected
    """
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        expected = os.path.join(__path__[0], f"{name}.py")
        raise ModuleNotFoundError(f"{error}: {expected} is missing", name=error.name, path=expected) from error
