from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "lightm_unet"


@pytest.mark.parametrize(
    ("words", "home"),
    [
        ("savefig(", "figures.py"),
        ("from jinja2 ", "page.py"),
        ("data:image/png", "page.py"),
        ("from rich.table ", "console.py"),
        ("csv.writer(", "text_tables.py"),
        ("---:", "text_tables.py"),
        ("Okabe", "palette.py"),
    ],
)
def test_results_are_shown_by_one_module_each(words, home):
    using = [file for file in PACKAGE.rglob("*.py") if words in file.read_text()]
    assert using == [PACKAGE / "reporting" / home]
