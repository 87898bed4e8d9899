# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The fixture `made_once`: what several tests and workers use is whole, and made once."""

import os

import pytest

pytestmark = pytest.mark.any_release


def makes(tmp_path):
    """A `make` that fills a folder and counts how often it did."""

    def make(folder):
        (folder / "all").touch()
        with open(tmp_path / "count", "a") as count:
            count.write("x")

    return make


def in_a_child(work) -> int:
    """The number of a process that does some work; its exit code is 1 if that fails."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child


class TestMadeOnce:
    def test_processes_that_ask_for_the_same_get_the_same(self, made_once, tmp_path):
        children = [in_a_child(lambda: made_once("of many", makes(tmp_path))) for _ in range(3)]
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
        folder = made_once("of many", makes(tmp_path))
        assert (folder / "all").is_file() and (tmp_path / "count").read_text() == "x"

    def test_of_what_failed_nothing_is_left_for_the_next(self, made_once, tmp_path):
        def fails(folder):
            (folder / "half").touch()
            raise OSError("no space left on device")

        with pytest.raises(OSError, match="no space"):
            made_once("of a failure", fails)
        assert [file.name for file in made_once("of a failure", makes(tmp_path)).iterdir()] == ["all"]
