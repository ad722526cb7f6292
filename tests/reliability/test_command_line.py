"""The command line: odd outputs, settings and plugins."""

import os
import subprocess
import sys

from faults import fault

SECTION = "Command line"


def codes(*commands):
    """Exit codes of commands in a shell, where $L is the command; a traceback is told."""
    environment = {**os.environ, "L": f"{sys.executable} -m lightm_unet"}
    found = [
        subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment)
        for command in commands
    ]
    traceback = any("Traceback" in done.stderr or "Exception" in done.stderr for done in found)
    numbers = ", ".join(str(done.returncode) for done in found)
    return f"exit code {numbers}{', with a traceback' if traceback else ''}"


@fault(SECTION, "standard output is a full disk: `--version`, `--help`", "exit code 3, 3")
def test_full():
    return codes("$L --version >/dev/full", "$L --help >/dev/full")


@fault(
    SECTION,
    "standard output or error is closed or full: `--version`, then an unknown command twice",
    "exit code 0, 2, 2",
)
def test_closed():
    return codes("$L --version >&-", "$L nope 2>&-", "$L nope 2>/dev/full")


@fault(SECTION, "the reader of the output stops early, as `head` does", "exit code 0, 0")
def test_a_reader_that_stops():
    end = "exit ${PIPESTATUS[0]}"
    return codes(f"$L --help | true; {end}", f"$L --help | head -1; {end}")


@fault(
    SECTION,
    "a plugin that ends the program by `sys.exit(0)` while it is imported",
    "exit code 2, the plugin is named",
)
def test_plugins(run, tmp_path, monkeypatch):
    plugin = tmp_path / "own.py"
    plugin.write_text("import sys\nsys.exit(0)\n")
    monkeypatch.setenv("LIGHTM_UNET_PLUGINS", str(plugin))
    code, _, error = run("count", "lightm-unet", "--size", "8x8")
    return f"exit code {code}, the plugin is {'named' if str(plugin) in error else 'not named'}"


@fault(
    SECTION,
    "`--overlap nan`, `--overlap 1`, `--overlap half`, `--device gpu`, `--size -3x4`",
    "exit code 2 and one line that names the option as it was typed, 5 times",
)
def test_settings(run):
    predict = ("predict", "nowhere", "a.png", "--output", "out")
    tries = [
        (*predict, "--overlap", "nan"),
        (*predict, "--overlap", "1"),
        (*predict, "--overlap", "half"),
        (*predict, "--device", "gpu"),
        ("count", "--size", "-3x4"),
    ]
    good = 0
    for words in tries:
        code, _, error = run(*words)
        good += (
            code == 2 and error.startswith(f"lightm-unet: {words[-2]} ") and "\n" not in error[:-1]
        )
    return f"exit code 2 and one line that names the option as it was typed, {good} times"


@fault(
    SECTION,
    "a failed image whose name has a line break, the colours of a terminal and bytes that are no "
    "UTF-8",
    "exit code 3, one printable line",
)
def test_names(run, tmp_path):
    name = os.fsdecode(b"two\nlines \x1b[31m \xff.png")
    (tmp_path / name).touch()
    code, _, error = run("evaluate", tmp_path / name, tmp_path / name)
    line = "one printable line" if error[:-1].isprintable() else repr(error)
    return f"exit code {code}, {line}"


@fault(SECTION, "a dataset.json nested 100,000 deep", "exit code 3, one line that names the file")
def test_deep_json(run, tmp_path):
    (tmp_path / "dataset.json").write_text('{"labels": ' + "[" * 100_000 + "]" * 100_000 + "}")
    code, _, error = run("check-dataset", tmp_path)
    one_line = error.count("\n") == 1 and str(tmp_path / "dataset.json") in error
    return f"exit code {code}, {'one line that names the file' if one_line else error}"
