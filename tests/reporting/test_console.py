import io

from rich.console import Console

from lightm_unet.reporting.console import make_console, print_table


def printed(width, *table, **options):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    print_table(*table, console=console, **options)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_numbers_stand_on_the_right_below_their_headings():
    lines = printed(80, "Costs", ["network", "GMACs"], [["a", "1.50"], ["long-name", "12.0"]])
    assert lines[0] == "Costs"
    assert [line for line in lines if line][1:] == [
        " network     GMACs",
        " ─────────────────",
        " a            1.50",
        " long-name    12.0",
    ]


def test_the_last_row_stands_apart_and_notes_follow():
    rows = [["liver", "0.9"]]
    lines = printed(80, "", ["class", "DSC"], rows, ["a note"], total=["mean", "0.8"])
    text = [line.split() for line in lines if line]
    assert text[2:] == [["liver", "0.9"], ["mean", "0.8"], ["a", "note"]]


def test_text_is_never_markup():
    lines = printed(80, "[b]t[/b]", ["[i]c"], [["[red]x"]], ["[link=x]y"], total=["[/]"])
    assert [line.strip() for line in lines if "[" in line] == [
        *("[b]t[/b]", "[i]c", "[red]x", "[/]", "[link=x]y")
    ]


def test_in_a_narrow_terminal_nothing_is_cut():
    row = ["lightm-unet-first-upload", "0.819 ± 0.021", "12,345,678"]
    lines = printed(30, "", ["network", "mean DSC", "parameters"], [row])
    assert max(map(len, lines)) <= 30
    everything = "".join("".join(lines).split())
    assert "…" not in everything
    for character in "".join(row).replace(" ", ""):
        assert character in everything
    assert sum(map(len, "".join(row).replace(" ", ""))) <= len(everything)


def test_a_pipe_is_as_wide_as_the_table(capsys):
    print_table("", ["network", "value"], [["n" * 300, "1.25"]])
    assert "n" * 300 + "    1.25" in capsys.readouterr().out
    assert make_console().width > 300
