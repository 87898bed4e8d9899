# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The patch set at hand."""

from pathlib import Path

from nemo_streaming_ssl.finder import overlay_root
from nemo_streaming_ssl.vendoring.contents import commit_of, vendored_files
from nemo_streaming_ssl.vendoring.files import sha256
from nemo_streaming_ssl.vendoring.record import Record, VendorError


class Sources:
    """
    Our files, and which ones they are.

    Args:
        root: the folder that contains the overlay's `nemo/`
    """

    def __init__(self, root: Path):
        self.root = root
        self.files = vendored_files(root)
        self.commit = commit_of(root)

    def are_those_of(self, record: Record) -> bool:
        """True if a record tells of the same files."""
        return record.hashes() == {path: sha256(file) for path, file in self.files.items()}


def installed_sources() -> Sources:
    """The sources that belong to this package.

    Raises:
        VendorError: they are not where the package is
    """
    root = overlay_root()
    if root is None:
        raise VendorError("The files of the patch set are not beside this package; install it again.")
    return Sources(Path(root))
