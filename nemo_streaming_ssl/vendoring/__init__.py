# Copyright (c) 2026, the streaming-ssl authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""`nemo-streaming-ssl vendor`: writes the patch set into a fork's own tree, checks it there, takes it out again.

A shadowed original `x.py` becomes `_x_base.py`, ours takes its place, new files are added. The file
`streaming_ssl_vendor.toml` in the fork says what was done.

    command     the command line
    runs        what each of its options does
    sources     the patch set at hand; contents: which of its files go into a fork
    fork        the tree that they go into: recognised, clean, in git
    plan        what a run is going to do, and what is in its way; needs: what the fork lacks or has changed of it
    record      streaming_ssl_vendor.toml
    writing     doing it and undoing it file by file, so that a run that was killed can be finished or undone
    files       single steps on files
    patch       the same as a patch for `git apply`
"""

from nemo_streaming_ssl.vendoring.command import add_vendor

__all__ = ['add_vendor']
