# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The command line, `nemo-streaming-ssl`. No command imports NeMo or torch before it has to."""

import argparse
import os
import sys

from nemo_streaming_ssl import __version__
from nemo_streaming_ssl.check import add_check
from nemo_streaming_ssl.export import add_export
from nemo_streaming_ssl.inputs import InputError
from nemo_streaming_ssl.plot import add_plot
from nemo_streaming_ssl.status import add_status
from nemo_streaming_ssl.strip import add_strip
from nemo_streaming_ssl.transcribe import add_transcribe
from nemo_streaming_ssl.vendoring import add_vendor


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code; 2, with a line that says why, for what cannot be read."""
    parser = argparse.ArgumentParser(prog="nemo-streaming-ssl", description="Patches over NeMo for streaming SSL.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    for add in COMMANDS:
        add(commands)
    args = _parse(parser, argv)
    try:
        code = args.run(args)
        sys.stdout.flush()
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader has gone, as in `... | head -1`. Python flushes once more at its end, so that goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parse(parser: argparse.ArgumentParser, argv: list[str] | None) -> argparse.Namespace:
    """Overrides may stand before and after options; argparse by itself takes only those before."""
    args, rest = parser.parse_known_args(argv)
    if rest and ("overrides" not in args or any(word.startswith("-") for word in rest)):
        parser.error(f'unrecognized arguments: {" ".join(rest)}')
    if rest:
        args.overrides = [*args.overrides, *rest]
    return args


# One function per command: adds its parser and sets `run`, which takes the arguments and returns the exit code.
COMMANDS = [add_status, add_check, add_plot, add_strip, add_export, add_transcribe, add_vendor]
