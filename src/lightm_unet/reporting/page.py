"""Reports as HTML pages: one file each, with styles and pictures inside, that loads nothing."""

from __future__ import annotations

import base64
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

    from lightm_unet.reporting.provenance import Provenance


def render_page(template: str, *, made: Provenance, **content: object) -> str:
    """Fill a template that extends "reporting/page.html.jinja".

    All text is escaped, for names of cases, labels and data sets are other people's. A name that
    the template uses and `content` lacks is an error.

    Args:
        template: its path within this package, such as "evaluation/report.html.jinja".
        made: shown at the end of the page.
        content: what the template needs.
    """
    return _environment().get_template(template).render(made=made, **content)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        # By this file's place: an editable installation has two folders of the package's name, and
        # PackageLoader takes the one that holds the extension alone.
        loader=FileSystemLoader(Path(__file__).parents[1]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline_png"] = inline_png
    environment.filters["breakable"] = breakable
    return environment


def breakable(name: object) -> Markup:
    """A name, escaped, that breaks behind its signs rather than within a word.

    Example:
        >>> print(breakable("case_<1>"))
        case_<wbr>&lt;1&gt;
    """
    from markupsafe import Markup, escape

    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[_\-.:,=/])", str(name)))


def inline_png(png: bytes) -> str:
    """A PNG as the address of an `<img>`, which holds the picture itself.

    Example:
        >>> inline_png(b"PNG")
        'data:image/png;base64,UE5H'
    """
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
