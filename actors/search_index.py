"""The texts of datasets in SQLite's FTS5, so that it finds what ``queries.matches`` matches.

``words`` holds words as ``queries.words_of`` splits them; its tokenizer only splits at the spaces
between them. Whole tags and whole names are tokens there too, written in hexadecimal. ``parts``
has the trigrams of names and tags, for substrings; shorter ones are looked for in every row of
``labelled``.
"""

import sqlite3
from typing import NamedTuple

from p2pgrid.protocol.queries import Query, search_text
from p2pgrid.protocol.records import DatasetRecord

FORM = 1
"""Raised with every change of what is in the tables; see ``registry_file``."""

TABLES = """
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (
    description, others, labels, tokenize = 'ascii', detail = column, columnsize = 0
);
CREATE TABLE IF NOT EXISTS labelled (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, tags TEXT NOT NULL
) STRICT;
CREATE VIRTUAL TABLE IF NOT EXISTS parts USING fts5 (
    name, tags, tokenize = 'trigram case_sensitive 1', columnsize = 0,
    content = 'labelled', content_rowid = 'number'
);
"""

TRIGRAM = 3
BETWEEN_TAGS = "\n"
"""No folded text holds it, so that no substring is of two tags."""


class Selection(NamedTuple):
    """A SELECT of the numbers of datasets as ``rowid``, with its values."""

    sql: str
    values: tuple[str, ...] = ()


EVERY = Selection("SELECT number AS rowid FROM datasets")


def add(connection: sqlite3.Connection, number: int, record: DatasetRecord) -> None:
    """Makes a dataset findable by its texts."""
    text = search_text(record)
    labels = (_label("name", text.name), *(_label("tag", tag) for tag in text.tags))
    connection.execute(
        "INSERT INTO words (rowid, description, others, labels) VALUES (?, ?, ?, ?)",
        (number, *map(" ".join, (text.description_words, text.other_words, labels))),
    )
    substrings_of = (number, text.name, BETWEEN_TAGS.join(text.tags))
    connection.execute("INSERT INTO labelled (number, name, tags) VALUES (?, ?, ?)", substrings_of)
    connection.execute("INSERT INTO parts (rowid, name, tags) VALUES (?, ?, ?)", substrings_of)


def remove(connection: sqlite3.Connection, number: int) -> None:
    """Takes back what ``add`` did."""
    connection.execute("DELETE FROM words WHERE rowid = ?", (number,))
    connection.execute("DELETE FROM parts WHERE rowid = ?", (number,))
    connection.execute("DELETE FROM labelled WHERE number = ?", (number,))


def selections(query: Query) -> tuple[Selection, ...]:
    """What has to be selected by each of these to match; at least one."""
    found = (_by_words(query), _by_trigrams(query), _by_short_parts(query))
    return tuple(one for one in found if one is not None) or (EVERY,)


def _by_words(query: Query) -> Selection | None:
    terms = [
        *(f'{{description others}} : "{word}"' for word in query.anywhere),
        *(f'description : "{word}"' for word in query.description),
        *(f'labels : "{_label("tag", tag)}"' for tag in query.exact_tags),
        *(f'labels : "{_label("name", name)}"' for name in query.exact_name),
    ]
    return _matching("words", terms)


def _by_trigrams(query: Query) -> Selection | None:
    long = [(column, part) for column, part in _parts(query) if len(part) >= TRIGRAM]
    return _matching("parts", [f"{column} : {_quoted(part)}" for column, part in long])


def _by_short_parts(query: Query) -> Selection | None:
    short = [(column, part) for column, part in _parts(query) if len(part) < TRIGRAM]
    if not short:
        return None
    conditions = " AND ".join(f"instr({column}, ?)" for column, _ in short)
    return Selection(
        f"SELECT rowid FROM labelled WHERE {conditions}",  # noqa: S608 two names of columns
        tuple(part for _, part in short),
    )


def _parts(query: Query) -> list[tuple[str, str]]:
    return [*(("name", part) for part in query.name), *(("tags", part) for part in query.tags)]


def _matching(table: str, terms: list[str]) -> Selection | None:
    if not terms:
        return None
    sql = f"SELECT rowid FROM {table} WHERE {table} MATCH ?"  # noqa: S608 one of two tables
    return Selection(sql, (" AND ".join(terms),))


def _quoted(part: str) -> str:
    escaped = part.replace('"', '""')
    return f'"{escaped}"'


def _label(kind: str, text: str) -> str:
    return kind + text.encode().hex()
