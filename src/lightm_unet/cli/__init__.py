"""The command line: one short function per command, which calls the Python function.

Exit codes: 0 done; 1 some cases failed, each listed; 2 wrong usage; 3 bad data; 4 a required
package or device is not available, or too little memory; 130 stopped by Ctrl-C. A user's mistake is
reported in one line on standard error, never as a traceback. Results go to standard output,
progress and log messages to standard error.

The commands import what they run within their functions: `lightm-unet --help` loads all of these
files, and importing torch alone would take seconds.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

from cyclopts import App, CycloptsError, Group, Parameter

from lightm_unet import __version__
from lightm_unet.cli import (
    compare,
    datasets,
    doctor,
    evaluate,
    export,
    measure,
    merge,
    models,
    nnunet,
    page,
    predict,
    serve,
    train,
)
from lightm_unet.cli.mistakes import as_typed, explain
from lightm_unet.cli.terminal import STANDARD_ERROR, complain, print_log
from lightm_unet.errors import LightMUNetError, UsageError

app = App(
    name="lightm-unet",
    help="Segment medical images with a light network: train, predict, evaluate.",
    version=f"lightm-unet {__version__}",
    help_format="markdown",
    default_parameter=Parameter(allow_repeating=True),  # the last one counts, as in other programs
    group_commands=Group("Other", sort_key=9),
    group_arguments=Group("Arguments", sort_key=0),
    group_parameters=Group("Options", sort_key=1),
    result_action="return_value",
)

for _place, (_title, _verbs) in enumerate(
    {
        "Data sets": (datasets.import_dataset, datasets.check_dataset, datasets.phantom),
        "Networks": (
            train.train,
            predict.predict,
            merge.merge,
            evaluate.evaluate,
            compare.compare,
            models.models,
        ),
        "Elsewhere": (page.page, export.export, serve.serve, nnunet.nnunet),
        "Costs and this machine": (measure.count, measure.bench, doctor.doctor),
    }.items()
):
    _group = Group(_title, sort_key=_place)
    for _number, _verb in enumerate(_verbs):
        if isinstance(_verb, App):  # a verb with commands of its own
            _verb.group, _verb.sort_key = _group, _number
            app.command(_verb)
        else:
            app.command(_verb, group=_group, sort_key=_number)
app.register_install_completion_command(help="Install completion for the current shell.")


@app.command(name="--show-completion")
def _show_completion() -> None:
    """Print the completion script for the current shell."""
    print(app.generate_completion())


def main() -> None:
    """Run the command that `sys.argv` holds; the process ends with one of the exit codes."""
    words = sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it was closed
            # Any file name and any sign can be printed, on a terminal of any language.
            stream.reconfigure(errors="backslashreplace")
    with print_log():
        try:
            code = _run(words)
            if sys.stdout:
                sys.stdout.flush()  # here, where an error can still be told
        except CycloptsError as error:
            complain(f"lightm-unet: {explain(error)}")
            code = 2
        except UsageError as error:
            complain(f"lightm-unet: {as_typed(error, app, words)}")
            code = error.exit_code
        except LightMUNetError as error:
            for line in f"lightm-unet: {error}".splitlines():  # several problems, one on each line
                complain(line)
            code = error.exit_code
        except BrokenPipeError:  # the reader of standard output, such as `head`, has enough
            _discard_output()
            code = 0
        except OSError as error:  # an output that cannot be written, a full disk
            _discard_output()
            where = f"{error.filename}: " if error.filename else ""
            complain(
                f"lightm-unet: {where}{error.strerror or error}; free space on the disk, or choose "
                "another output"
            )
            code = 3
        except KeyboardInterrupt:
            code = 130
    sys.exit(code)


def _run(words: list[str]) -> int | None:
    if not words:
        app.help_print([], console=STANDARD_ERROR)
        return 2
    try:
        return app(words, exit_on_error=False, print_error=False)
    except SystemExit as stop:
        if stop.code == 1:  # rich stops so when nobody reads standard output any more
            return 0
        raise


def _discard_output() -> None:
    """Let what standard output still holds go nowhere, so that the end of Python is silent."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
