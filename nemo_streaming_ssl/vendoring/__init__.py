# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`nemo-streaming-ssl vendor`: writes the patch set into a fork's own tree, checks it there, takes it out again.

A shadowed original `x.py` becomes `_x_base.py`, ours takes its place, new files are added. The file
`streaming_ssl_vendor.toml` in the fork says what was done.

    command     the command line, and what each of its options does
    contents    which of our files go into a fork
    fork        the tree that they go into: recognised, clean, in git
    plan        what a run is going to write, what is in its way, what the fork lacks or has changed of it
    record      streaming_ssl_vendor.toml
    writing     doing it and undoing it file by file, so that a run that was killed can be finished or undone
    files       single steps on files
    patch       the same as a patch for `git apply`
"""

from nemo_streaming_ssl.vendoring.command import add_vendor

__all__ = ["add_vendor"]
