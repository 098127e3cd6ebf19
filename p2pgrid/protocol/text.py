"""Texts of people: what they may hold, how they are compared, and tables made of them."""

import html
import unicodedata
from collections.abc import Sequence

from p2pgrid.errors import SchemaError

Rows = Sequence[Sequence[str]]
"""The first row heads the others."""

SHOWN = 80
"""Characters of a cell that is displayed."""


def plain_text(field: str, text: object, *, least: int = 0, most: int, lines: bool = False) -> str:
    """The text in Unicode's composed form (NFC), so that it is the same wherever it was typed.

    Args:
        field: what it is, for the error.
        text: from anybody.
        least: Fewest characters.
        most: Most characters.
        lines: Whether it may have line ends and tabs; no other control characters are allowed.

    Raises:
        SchemaError: it is no text, too short or too long, or holds control characters.
    """
    if not isinstance(text, str):
        problem = f"expected a text, got {type(text).__name__}"
        raise SchemaError(field=field, problem=problem)
    _require_length(field, text, least, most)  # first: normalising long texts takes long
    composed = unicodedata.normalize("NFC", text)
    _require_length(field, composed, least, most)
    shown = composed.translate({ord(end): " " for end in "\r\n\t"}) if lines else composed
    if not shown.isprintable():
        raise SchemaError(field=field, problem="holds a control character; leave it out")
    return composed


def _require_length(field: str, text: str, least: int, most: int) -> None:
    if not least <= len(text) <= most:
        problem = f"has {len(text):,} characters; {least} to {most:,} are allowed"
        raise SchemaError(field=field, problem=problem)


def folded(text: str) -> str:
    """The form in which texts are compared: NFKC, case folded, white space as single spaces.

    It holds no NUL and no line end; both may serve as separators of such texts.
    """
    once = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", once).replace("\0", " ").split())


def text_table(rows: Rows) -> str:
    """The rows as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def html_table(rows: Rows) -> str:
    """The rows as a table of HTML; cells are escaped, they hold nothing but text."""
    head, *body = rows
    lines = [_html_row("th", head), *(_html_row("td", row) for row in body)]
    return f"<table>{''.join(lines)}</table>"


def html_text(text: str) -> str:
    """The text as a paragraph of HTML, escaped; of no text, nothing."""
    return f"<p>{html.escape(text)}</p>" if text else ""


def one_line(text: str) -> str:
    """The text with every run of white space as one space."""
    return " ".join(text.split())


def printable(text: str) -> str:
    """The text in one line, without what a terminal would obey instead of showing it."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in one_line(text))


def cut(text: str) -> str:
    """The text for display: printable, and shortened."""
    line = printable(text)
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."


def cut_cells(rows: Rows) -> Rows:
    """The rows with long cells shortened for display."""
    return [[cut(cell) for cell in row] for row in rows]


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"
