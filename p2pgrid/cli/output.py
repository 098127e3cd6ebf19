"""What the commands print: tables for people, or one JSON document for programs."""

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from p2pgrid.errors import P2PGridError

PIPE_WIDTH = 200
"""Columns where nobody looks: a key must not be broken in two on its way to another program."""


class Format(StrEnum):
    """How a command answers."""

    TABLE = "table"
    JSON = "json"


FormatOption = Annotated[
    Format, typer.Option("--format", help="A table for people, or one JSON document on stdout.")
]


def show_record(record: Mapping[str, Any], *, output: Format, note: str = "") -> None:
    """Prints one thing, a line per field that says something, and a note; JSON has them all."""
    if output is Format.JSON:
        return _show_json({**record, "note": note})
    fields = {name: value for name, value in record.items() if value or isinstance(value, bool)}
    indent = max(map(len, fields), default=0) + 2
    lines = []
    for name, value in fields.items():
        values = _cell(value).plain.splitlines()
        heading = name.replace("_", " ").ljust(indent)
        lines.append(Text.assemble((heading, "bold"), values[0]))
        lines.extend(Text(" " * indent + more) for more in values[1:])
    # Soft: an address that is broken in two cannot be copied.
    return _console().print(*lines, *([_cell(note)] if note else []), sep="\n", soft_wrap=True)


def show_rows(
    rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str], output: Format, note: str = ""
) -> None:
    """Prints several things of one kind, and a note for people; JSON is an array of objects."""
    if output is Format.JSON:
        return _show_json(list(rows))
    table = Table()
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    return _console().print(table, *map(_cell, note.splitlines()), sep="\n")


def show_text(text: str) -> None:
    """Prints lines for people as they are, free of commands for the terminal."""
    sys.stdout.write("".join(f"{_printable(line)}\n" for line in text.splitlines()))


def complain(error: Exception) -> None:
    """Prints an error on stderr as one line, whatever its text holds."""
    if isinstance(error, P2PGridError):
        text = f"P2PG-{error.code}: {error}"
    else:
        text = f"{type(error).__name__}: {error} (--debug shows where)"
    line = " | ".join(part.strip() for part in text.splitlines() if part.strip())
    sys.stderr.write(f"p2pgrid: {_printable(line)}\n")


def _show_json(document: object) -> None:
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def _cell(value: object) -> Text:
    """Plain text: names that others chose are neither rich's markup nor terminal commands."""
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, list | tuple):
        return Text("\n".join(_printable(str(item)) for item in value))
    return Text(_printable(str(value)))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
