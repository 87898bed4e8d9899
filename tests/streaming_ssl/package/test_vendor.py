# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`nemo-streaming-ssl vendor` on a small fork: writing, verifying, updating, reverting.

Runs that are killed: `test_vendor_kill.py`.

Into a whole NeMo, with all our tests inside: `tests/inside_a_fork.py`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import vendoring_stub as stub

from nemo_streaming_ssl import cli

pytestmark = pytest.mark.any_release

patch_set, fork = stub.patch_set, stub.fork

LOSS, BASE = "nemo/collections/asr/loss.py", "nemo/collections/asr/_loss_base.py"
CONTEXT, EXAMPLE = "nemo/collections/asr/contexts/context.py", "examples/asr/pretrain.py"
RECORD = "streaming_ssl_vendor.toml"


@pytest.fixture
def vendor(fork, patch_set, capsys):
    """Runs the command on the fork; exit code and output, of both kinds."""

    def run(*options):
        code = cli.main(["vendor", str(fork), *map(str, options)])
        output = capsys.readouterr()
        return code, output.out + output.err

    return run


def vendored_fork(fork, vendor):
    """Writes the patches into the fork and commits; returns what it was before."""
    before = stub.snapshot(fork)
    assert vendor()[0] == 0
    stub.commit(fork)
    return before


def edit(file: Path, text: str = "# edited\n"):
    with open(file, "a", newline="") as opened:
        opened.write(text)


def import_from(fork: Path, code: str) -> str:
    """What a Python prints that knows the fork and nothing of this package."""
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=fork, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestWriting:
    def test_ours_take_the_place_and_originals_stay_beside_them(self, fork, vendor, patch_set):
        before = stub.snapshot(fork)
        code, said = vendor()
        after = stub.snapshot(fork)
        assert code == 0 and "9 files of ours" in said and "2 of NeMo" in said
        for path in stub.SHADOWED:
            folder, _, name = path.rpartition("/")
            assert after[f"{folder}/_{name[:-3]}_base.py"] == before[path]
            assert after[path][0] == (patch_set / path).read_bytes()
        assert after[CONTEXT][0] == (patch_set / CONTEXT).read_bytes()
        assert after["docs/streaming_ssl/index.md"][0] == b"# Docs\n"
        assert after["docs/benchmarks/results/speed.csv"][0] == b"a,b\n"
        untouched = set(before) - set(stub.SHADOWED)
        assert {path: after[path] for path in untouched} == {path: before[path] for path in untouched}

    def test_a_fork_gets_no_tests_of_the_overlay_and_no_benchmarks(self, fork, vendor):
        vendor()
        names = stub.snapshot(fork)
        assert "tests/streaming_ssl/masking/test_masking.py" in names
        assert not {"tests/matrix.py", "benchmarks", "tests/streaming_ssl/package"} & set(names)

    def test_the_fork_runs_without_this_package(self, fork, vendor):
        vendor()
        code = "from nemo.collections.asr import loss, other; print(loss.Loss.name, loss.base.helper(), other.WHERE)"
        assert import_from(fork, code).split() == ["patched", "original", "fork"]

    def test_the_record_says_what_when_and_where_from(self, fork, vendor):
        vendor()
        text = (fork / RECORD).read_text()
        assert 'state = "done"' in text and 'nemo_version = "2.5.3"' in text and 'commit = "unknown"' in text
        assert f'path = "{LOSS}"' in text and f'moved_to = "{BASE}"' in text

    def test_twice_changes_nothing(self, fork, vendor):
        vendor()
        before = stub.snapshot(fork)
        times = {path: (fork / path).stat().st_mtime_ns for path in before}
        code, said = vendor()
        assert code == 0 and "nothing to do" in said
        assert stub.snapshot(fork) == before
        assert {path: (fork / path).stat().st_mtime_ns for path in before} == times

    def test_files_that_git_would_leave_out_are_named(self, fork, vendor):
        (fork / ".gitignore").write_text("*.csv\n")
        stub.commit(fork)
        code, said = vendor()
        assert code == 0 and "git add --force" in said and "docs/benchmarks/results/speed.csv" in said
        assert CONTEXT not in said

    def test_a_name_that_the_fork_itself_lacks_is_said_and_stops_nothing(self, fork, vendor):
        stub.write_files(fork, {"nemo/collections/asr/cut.py": "from nemo.collections.asr.loss import gone\n"})
        stub.commit(fork)
        code, said = vendor()
        assert code == 0 and f"cut.py:1 needs gone, which {fork / LOSS} does not have" in said


class TestPreview:
    def test_the_patch_is_the_same_as_the_run(self, fork, vendor, tmp_path):
        before = stub.snapshot(fork)
        patch = tmp_path / "streaming.patch"
        assert vendor("--patch", patch)[0] == 0
        assert stub.snapshot(fork) == before
        repository = fork.parents[1]
        stub.git(repository, "apply", "--check", str(patch))
        stub.git(repository, "apply", str(patch))
        applied = stub.snapshot(fork)
        assert vendor("--verify")[0] == 0
        assert vendor("--revert")[0] == 0 and stub.snapshot(fork) == before
        vendor()
        assert stub.snapshot(fork) == applied

    def test_originals_are_copies_in_the_patch_not_text(self, vendor, tmp_path):
        vendor("--patch", tmp_path / "streaming.patch")
        text = (tmp_path / "streaming.patch").read_text()
        assert f"copy from third_party/nemo/{LOSS}\ncopy to third_party/nemo/{BASE}\n" in text

    def test_a_dry_run_sums_up_and_touches_nothing(self, fork, vendor):
        before, objects = stub.snapshot(fork), stub.git(fork, "count-objects")
        code, said = vendor("--dry-run")
        assert code == 0 and "files changed" in said and "context.py" in said and "create mode" in said
        assert stub.snapshot(fork) == before and stub.git(fork, "count-objects") == objects
        assert stub.git(fork, "status", "--porcelain") == ""

    @pytest.mark.parametrize("setting", ["diff.noprefix", "diff.mnemonicPrefix", "color.ui"])
    def test_the_users_git_settings_do_not_matter(self, fork, vendor, tmp_path, setting):
        stub.git(fork, "config", setting, "always" if setting == "color.ui" else "true")
        vendor("--patch", tmp_path / "streaming.patch")
        stub.git(fork.parents[1], "-c", f"{setting}=false", "apply", "--check", str(tmp_path / "streaming.patch"))

    def test_where_something_is_vendored_there_is_nothing_to_preview(self, vendor):
        vendor()
        assert vendor("--dry-run")[0] == 2


class TestRefusing:
    """Exit code 2, a message that names the reason, and not a byte changed."""

    def refused(self, fork, vendor, *words, options=()):
        before = stub.snapshot(fork)
        code, said = vendor(*options)
        assert code == 2 and all(word in said for word in words), said
        assert stub.snapshot(fork) == before

    def test_uncommitted_changes(self, fork, vendor):
        edit(fork / "nemo/collections/asr/other.py")
        self.refused(fork, vendor, "uncommitted changes", "nemo/collections/asr/other.py")

    def test_changes_elsewhere_in_the_repository_do_not_matter(self, fork, vendor):
        edit(fork.parents[1] / "README.md")
        assert vendor()[0] == 0

    def test_no_repository(self, tmp_path, vendor, fork):
        (fork.parents[1] / ".git").rename(tmp_path / "gone")
        self.refused(fork, vendor, "git repository")

    @pytest.mark.parametrize("gone", ["nemo/package_info.py", "nemo/__init__.py", LOSS])
    def test_a_tree_that_is_no_nemo(self, fork, vendor, gone):
        (fork / gone).unlink()
        stub.commit(fork)
        self.refused(fork, vendor, gone)

    @pytest.mark.parametrize("version", ["2.4.0", "3.1.0"])
    def test_a_release_that_is_not_supported(self, fork, vendor, version):
        (fork / "nemo/package_info.py").write_text(f'__version__ = "{version}"\n')
        stub.commit(fork)
        self.refused(fork, vendor, version, "2.5.3 to 3.0.0")

    @pytest.mark.parametrize(
        "path, word",
        [
            (BASE, "by hand"),
            (CONTEXT, "--replace"),
            (EXAMPLE, "--replace"),
            ("nemo/collections/asr/contexts.py", "same module name"),
            ("nemo/utils/shadowing/__init__.py", "same module name"),
            ("docs/streaming_ssl", "needs a folder"),
        ],
    )
    def test_a_file_in_the_way(self, fork, vendor, path, word):
        stub.write_files(fork, {path: "of the fork\n"})
        stub.commit(fork)
        self.refused(fork, vendor, path, word)

    def test_all_that_is_in_the_way_is_named_at_once(self, fork, vendor):
        stub.write_files(fork, {EXAMPLE: "of the fork\n", CONTEXT: "of the fork\n"})
        stub.commit(fork)
        self.refused(fork, vendor, EXAMPLE, CONTEXT)

    def test_a_link_in_place_of_an_original(self, fork, vendor):
        (fork / LOSS).unlink()
        (fork / LOSS).symlink_to("masking.py")
        stub.commit(fork)
        self.refused(fork, vendor, LOSS, "link")

    def test_a_name_that_ours_build_on(self, fork, vendor):
        (fork / LOSS).write_text("class Renamed:\n    pass\n")
        stub.commit(fork)
        self.refused(fork, vendor, "needs Loss", str(fork / LOSS))

    @pytest.mark.parametrize("option", ["--verify", "--revert", "--update"])
    def test_nothing_is_vendored(self, fork, vendor, option):
        self.refused(fork, vendor, RECORD, options=[option])

    @pytest.mark.parametrize("text", ["format = 1\n", "no toml", "format = 2\n"])
    def test_a_record_that_cannot_be_read(self, fork, vendor, text):
        vendored_fork(fork, vendor)
        (fork / RECORD).write_text(text)
        self.refused(fork, vendor, RECORD, options=["--revert"])

    def test_another_version_is_there(self, fork, vendor, patch_set):
        vendored_fork(fork, vendor)
        edit(patch_set / CONTEXT)
        self.refused(fork, vendor, "--update")


class TestReplacing:
    def test_files_of_the_fork_are_moved_aside_and_come_back(self, fork, vendor):
        stub.write_files(fork, {EXAMPLE: "of the fork\n", EXAMPLE + ".replaced": "another file\n"})
        os.chmod(fork / EXAMPLE, 0o755)
        stub.commit(fork)
        before = stub.snapshot(fork)
        code, said = vendor("--replace")
        assert code == 0 and "1 of the fork moved aside" in said
        assert (fork / (EXAMPLE + ".replaced.2")).read_text() == "of the fork\n"
        assert vendor("--verify")[0] == 0
        assert vendor("--revert")[0] == 0 and stub.snapshot(fork) == before

    def test_an_update_replaces_again_what_was_replaced(self, fork, vendor, patch_set):
        stub.write_files(fork, {EXAMPLE: "of the fork\n"})
        stub.commit(fork)
        before = stub.snapshot(fork)
        vendor("--replace")
        stub.commit(fork)
        edit(patch_set / EXAMPLE)
        assert vendor("--update")[0] == 0
        assert (fork / EXAMPLE).read_bytes() == (patch_set / EXAMPLE).read_bytes()
        assert vendor("--revert")[0] == 0 and stub.snapshot(fork) == before


class TestVerifying:
    def test_all_is_well(self, fork, vendor):
        vendored_fork(fork, vendor)
        assert vendor("--verify") == (0, f"{fork}: all is as it was written\n")

    @pytest.mark.parametrize("path, whose", [(LOSS, "ours"), (CONTEXT, "ours"), (BASE, "the fork's own")])
    @pytest.mark.parametrize("change", [edit, Path.unlink])
    def test_what_differs_is_named(self, fork, vendor, path, whose, change):
        vendored_fork(fork, vendor)
        change(fork / path)
        word = "edited" if change is edit else "missing"
        assert vendor("--verify") == (1, f"{word}: {path} ({whose})\n")


class TestReverting:
    def test_the_tree_is_what_it_was_byte_for_byte(self, fork, vendor):
        before = vendored_fork(fork, vendor)
        assert vendor("--revert")[0] == 0
        assert stub.snapshot(fork) == before

    def test_before_a_commit_too(self, fork, vendor):
        before = stub.snapshot(fork)
        vendor()
        assert vendor("--revert")[0] == 0 and stub.snapshot(fork) == before
        assert stub.git(fork, "status", "--porcelain") == ""

    def test_compiled_files_of_ours_go_too(self, fork, vendor):
        before = stub.snapshot(fork)
        vendor()
        import_from(fork, "import nemo.collections.asr.contexts.context, nemo.collections.asr.loss")
        vendor("--revert")
        left = set(stub.snapshot(fork)) - set(before)
        assert {path for path in left if "contexts" in path or "loss" in path} == set()
        code = "from nemo.collections.asr.loss import Loss; import importlib.util as u; print(Loss.name, "
        code += 'u.find_spec("nemo.collections.asr.contexts"))'
        assert import_from(fork, code).split() == ["original", "None"]

    def test_the_forks_edit_of_an_original_goes_back_with_it(self, fork, vendor):
        before = vendored_fork(fork, vendor)
        edit(fork / BASE)
        assert vendor("--revert")[0] == 0
        after = stub.snapshot(fork)
        assert after.pop(LOSS)[0] == before.pop(LOSS)[0] + b"# edited\n"
        assert after == before

    @pytest.mark.parametrize("path", [LOSS, CONTEXT])
    def test_ours_that_the_fork_edited_are_named_and_kept(self, fork, vendor, path):
        before = vendored_fork(fork, vendor)
        edit(fork / path)
        edited = (fork / path).read_bytes()
        code, said = vendor("--revert")
        assert code == 0 and path in said and f"{Path(path).name}.edited" in said
        after = stub.snapshot(fork)
        assert after.pop(path + ".edited")[0] == edited
        after.pop(Path(path).parent.as_posix())
        before.pop(Path(path).parent.as_posix(), None)
        assert after == before

    def test_a_missing_original_stops_it(self, fork, vendor):
        vendored_fork(fork, vendor)
        (fork / BASE).unlink()
        before = stub.snapshot(fork)
        code, said = vendor("--revert")
        assert code == 2 and BASE in said and stub.snapshot(fork) == before

    def test_a_file_of_ours_that_is_gone_already_does_not(self, fork, vendor):
        before = vendored_fork(fork, vendor)
        (fork / CONTEXT).unlink()
        (fork / LOSS).unlink()
        assert vendor("--revert")[0] == 0 and stub.snapshot(fork) == before


class TestUpdating:
    def test_files_come_change_and_go(self, fork, vendor, patch_set):
        before = vendored_fork(fork, vendor)
        edit(patch_set / LOSS)
        (patch_set / CONTEXT).unlink()
        stub.write_files(patch_set, {"nemo/collections/asr/contexts/schedule.py": "x = 1\n"})
        assert vendor("--update")[0] == 0
        assert (fork / LOSS).read_bytes() == (patch_set / LOSS).read_bytes()
        assert not (fork / CONTEXT).exists() and (fork / "nemo/collections/asr/contexts/schedule.py").exists()
        assert vendor("--verify")[0] == 0
        assert vendor("--revert")[0] == 0 and stub.snapshot(fork) == before

    def test_a_module_may_become_a_package(self, fork, vendor, patch_set):
        before = vendored_fork(fork, vendor)
        (patch_set / CONTEXT).unlink()
        stub.write_files(patch_set, {"nemo/collections/asr/contexts/context/__init__.py": "x = 1\n"})
        assert vendor("--update")[0] == 0 and vendor("--verify")[0] == 0
        assert vendor("--revert")[0] == 0 and stub.snapshot(fork) == before

    def test_edits_of_originals_are_kept_and_known_from_then_on(self, fork, vendor):
        vendored_fork(fork, vendor)
        edit(fork / BASE)
        stub.commit(fork)
        edited = (fork / BASE).read_bytes()
        assert vendor("--verify")[0] == 1
        assert vendor("--update")[0] == 0
        assert (fork / BASE).read_bytes() == edited and vendor("--verify")[0] == 0

    def test_the_same_version_is_nothing_to_do(self, fork, vendor):
        vendored_fork(fork, vendor)
        before = stub.snapshot(fork)
        code, said = vendor("--update")
        assert code == 0 and "nothing to do" in said and stub.snapshot(fork) == before

    def test_what_is_in_the_way_of_the_new_version_stops_it_before_anything_is_done(self, fork, vendor, patch_set):
        vendored_fork(fork, vendor)
        stub.write_files(fork, {"examples/asr/finetune.py": "of the fork\n"})
        stub.commit(fork)
        stub.write_files(patch_set, {"examples/asr/finetune.py": "ours\n"})
        before = stub.snapshot(fork)
        code, said = vendor("--update")
        assert code == 2 and "examples/asr/finetune.py" in said and stub.snapshot(fork) == before
        assert vendor("--update", "--replace")[0] == 0
        assert vendor("--revert")[0] == 0
        assert (fork / "examples/asr/finetune.py").read_text() == "of the fork\n"


class TestUpstream:
    def test_merging_upstream_is_revert_merge_vendor(self, fork, vendor):
        """The fork and upstream both change a shadowed module, in different places; a merge into it would conflict."""
        repository = fork.parents[1]
        stub.git(repository, "branch", "upstream")
        edit(fork / LOSS, '\n\ndef of_the_fork():\n    return "fork"\n')
        stub.commit(repository)
        vendor()
        stub.commit(repository)
        stub.git(repository, "checkout", "--quiet", "upstream")
        text = (fork / LOSS).read_text()
        (fork / LOSS).write_text("# upstream\n" + text)
        stub.commit(repository)
        stub.git(repository, "checkout", "--quiet", "-")
        assert vendor("--revert")[0] == 0
        stub.commit(repository)
        stub.git(repository, "merge", "--quiet", "--no-edit", "upstream")
        assert vendor()[0] == 0
        text = (fork / BASE).read_text()
        assert text.startswith("# upstream\n") and "of_the_fork" in text
        assert import_from(fork, "from nemo.collections.asr.loss import Loss; print(Loss.name)").split() == ["patched"]
