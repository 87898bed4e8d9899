# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Installs the package `nemo_streaming_ssl`, the overlay `nemo/` and the `.pth` file that puts the finder in place.

setuptools has no option for a file at the top of site-packages that works for ordinary and editable installs alike,
so that its commands are extended here. In an ordinary install the overlay becomes `nemo_streaming_ssl/_overlay/nemo`:
`site-packages/nemo` belongs to NeMo. Beside it is what else `nemo-streaming-ssl vendor` writes into a fork.
"""

import base64
import hashlib
import re
import runpy
import shutil
import zipfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
# Run, not imported: an earlier version of the package may be imported already, by its own `.pth` file.
CONTENTS = runpy.run_path(str(HERE / "nemo_streaming_ssl" / "vendoring" / "contents.py"))

# Python executes a line of a .pth file that begins with `import`, and prints a traceback at every start if it fails.
# So nothing is said where the package is gone (a checkout that was deleted, or that this user may not read), and one
# line where it is broken.
PTH_NAME = "nemo_streaming_ssl.pth"
PTH_CODE = """\
try:
 import nemo_streaming_ssl.finder as finder
 finder.install()
except (ModuleNotFoundError, OSError): pass
except Exception as error: print('nemo_streaming_ssl is not in effect:', repr(error), file=sys.stderr)
"""
# The checkout is on `sys.path` for this one import only: its `tests` and `examples` must not become importable. Once
# a package is imported, its modules are found through its own `__path__`.
EDITABLE_CODE = f"""\
sys.path.insert(0, {str(HERE)!a})
{PTH_CODE}finally: sys.path.remove({str(HERE)!a})
"""


class BuildPy(build_py):
    """Adds the overlay and the `.pth` file to an ordinary wheel."""

    def run(self):
        """Builds as usual, then adds; for an editable wheel there is nothing to add here."""
        super().run()
        if not self.editable_mode:
            self._add_overlay()
            Path(self.build_lib, PTH_NAME).write_bytes(_pth(PTH_CODE))

    def _add_overlay(self):
        folder = Path(self.build_lib, "nemo_streaming_ssl", "_overlay")
        # build/ may be left from an earlier build, with files that are no longer in the overlay.
        shutil.rmtree(folder, ignore_errors=True)
        for source in CONTENTS["vendored_files"](HERE).values():
            target = folder / source.relative_to(HERE)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        _write_commit(folder)


class Sdist(sdist):
    """Says in the archive which commit it is."""

    def make_release_tree(self, base_dir, files):
        """Copies as usual, then adds."""
        super().make_release_tree(base_dir, files)
        _write_commit(Path(base_dir))


class EditableWheel(editable_wheel):
    """Puts our `.pth` file in the place of setuptools' own files; the overlay stays in the checkout.

    setuptools makes an editable package importable with a finder of its own, whose imports (pathlib, re, urllib) every
    Python start would pay for, many times what our finder costs.
    """

    def run(self):
        """Builds as usual, then exchanges the files."""
        super().run()
        wheels = Path(self.dist_dir).glob("nemo_streaming_ssl-*editable*.whl")
        _rewrite_wheel(max(wheels, key=lambda wheel: wheel.stat().st_mtime), PTH_NAME, _pth(EDITABLE_CODE))


def _write_commit(folder):
    (folder / CONTENTS["COMMIT_FILE"]).write_text(CONTENTS["commit_of"](HERE), encoding="utf-8")


def _pth(code):
    """A `.pth` file that runs a piece of code: one line, in ASCII, whatever the path of the checkout is."""
    return f"import sys; exec({code!a}, {{'sys': sys}})\n".encode()


def _rewrite_wheel(wheel, name, data):
    """Writes the wheel anew, with `name` instead of `__editable__*`, also in RECORD: pip removes what that lists.

    `wheel.wheelfile` would keep RECORD by itself, but setuptools no longer brings `wheel`: an installation without
    build isolation would need one package more.
    """
    with zipfile.ZipFile(wheel) as old:
        entries = [(info, old.read(info)) for info in old.infolist() if not info.filename.startswith("__editable__")]
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr(name, data)
        for info, content in entries:
            if info.filename.endswith(".dist-info/RECORD"):
                kept = [line for line in content.splitlines(True) if not line.startswith(b"__editable__")]
                content = b"".join([_record_line(name, data), *kept])
            new.writestr(info, content)


def _record_line(name, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n".encode()


def _version():
    """`__version__` of the package, which cannot be imported while it is being built."""
    text = (HERE / "nemo_streaming_ssl" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, flags=re.MULTILINE).group(1)


def _readme():
    """The README as the package index shows it: there a link to a file of the repository leads nowhere.

    Such a picture is left out, and such a link becomes its text. (The repository has no address to link to yet.)
    """
    file = HERE / "README.md"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    prose_and_code = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    prose_and_code[::2] = map(_without_links_to_files, prose_and_code[::2])
    return "".join(prose_and_code)


def _without_links_to_files(markdown):
    target = r"\((?!https?:|#)[^)]*\)"
    markdown = re.sub(rf"^!\[[^\]]*\]{target}\n+", "", markdown, flags=re.MULTILINE)
    return re.sub(rf"\[([^\]]*)\]{target}", r"\1", markdown)


setup(
    name="nemo-streaming-ssl",
    version=_version(),
    description="Streaming self-supervised pretraining as a patch set over NeMo",
    long_description=_readme(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    author="the streaming-ssl authors",
    keywords=["speech recognition", "self-supervised learning", "streaming", "NeMo"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    python_requires=">=3.10",
    # Named, not searched for: `nemo`, `tests` and `examples` must not become packages of their own.
    packages=["nemo_streaming_ssl", "nemo_streaming_ssl.onnx_session", "nemo_streaming_ssl.vendoring"],
    package_data={"nemo_streaming_ssl": ["replaced_methods.csv"]},
    install_requires=[
        "nemo_toolkit[asr]>=2.5.3,<=3.0.0",
        # For `status`. No upper limits here, they would downgrade what a newer NeMo has: constraints/ has them.
        "packaging",
        # Reads what `vendor` has written.
        "tomli; python_version < '3.11'",
    ],
    entry_points={"console_scripts": ["nemo-streaming-ssl = nemo_streaming_ssl.cli:main"]},
    cmdclass={"build_py": BuildPy, "editable_wheel": EditableWheel, "sdist": Sdist},
)
