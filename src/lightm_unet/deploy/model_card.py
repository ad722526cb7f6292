"""A model's card as a part of a page."""

from __future__ import annotations

from markdown_it import MarkdownIt

from lightm_unet.models.model_folder import ModelFolder


def card_html(model: ModelFolder) -> str:
    """The README.md in a model's folder as HTML; empty where there is none."""
    path = model.path / "README.md"
    return markdown_html(path.read_text("utf-8", "replace")) if path.is_file() else ""


def markdown_html(text: str) -> str:
    """Markdown with tables as HTML. HTML within it is shown as text, never used.

    Example:
        >>> markdown_html("A **bold** <b>claim</b>")
        '<p>A <strong>bold</strong> &lt;b&gt;claim&lt;/b&gt;</p>\\n'
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    # A picture would be fetched from wherever the card says.
    return str(parser.disable("image").render(text))
