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


def test_in_a_narrow_terminal_the_columns_follow_in_blocks_and_no_number_is_broken():
    columns = ["network", "mean DSC", "parameters", "GMACs"]
    rows = [
        ["lightm-unet-first-upload", "0.819 ± 0.021", "12,345,678", "1.25"],
        ["nnu-net", "0.833 ± 0.002", "1,357,000", "3.45"],
    ]
    lines = printed(40, "", columns, rows, total=["mean", "0.826", "", "2.35"])
    assert max(map(len, lines)) <= 40
    text = " ".join(lines)
    for number in (number for row in rows for number in row[1:]):
        assert text.count(number) == 1
    assert text.count("nnu-net") == text.count("network") == 3  # blocks
    assert text.count("mean ") == 3 + 1  # and the heading "mean DSC"
    assert "…" not in text


def test_a_long_name_goes_on_in_a_further_line():
    lines = printed(30, "", ["network", "DSC"], [["n" * 40, "0.819"]])
    assert "".join(lines).count("n") == 40 + 1  # and the one of "network"
    assert any(line.endswith("0.819") for line in lines)


def test_a_pipe_is_as_wide_as_the_table(capsys):
    print_table("", ["network", "value"], [["n" * 300, "1.25"]])
    assert "n" * 300 + "    1.25" in capsys.readouterr().out
    assert make_console().width > 300
