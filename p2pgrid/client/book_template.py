"""A code book to fill in: the names of a file's columns, their declared types, and blanks.

It is made of what a file declares about its columns. No cell is read, so no value can be in it, and
no bound: those come from what its owner knows without the data.
"""

from collections.abc import Mapping

from p2pgrid.protocol.columns import CATEGORY

HEAD = """\
# A code book: what the columns of a file mean, and what of them may be public. Fill in the blanks.

name = ""          # of the dataset
schema = ""        # of the columns below; the same wherever they are shared
description = \"\"\"
\"\"\"
tags = []          # such as "#births"
# entity = ""      # the column that says whose a row is; default: every row is somebody else's
# metadata = { }   # what else everybody may know, such as collected = 2019

# [budget]         # privacy budget of every entity; default: 0, nothing may be released
# lifetime_train = 0

# Every column of the file needs a type: bool, int8 to int64, uint8 to uint64, float16 to float64,
# or category. Numbers need low and high: give what is known without the data, such as the end of
# the scale. A category needs its labels. All may have a name, a unit, a description, and as
# missing a public value for cells that hold none. What must not be published has a single line
# instead: drop = true
"""
NUMBER = "# low =\n# high =\n"
LABELS = "categories = []\n"


def code_book_template(types: Mapping[str, str]) -> str:
    """The TOML text of a code book with blanks; until they are filled in, it is refused.

    Args:
        types: of the columns by name; empty where the file declares none. See ``declared_types``.
    """
    return HEAD + "".join(_entry(name, declared) for name, declared in types.items())


def _entry(name: str, declared: str) -> str:
    rest = {CATEGORY: LABELS, "bool": ""}.get(declared, NUMBER)
    return f'\n[columns.{_quoted(name)}]\ntype = "{declared}"\n{rest}'


def _quoted(name: str) -> str:
    """A basic string of TOML, in which only printable characters stand for themselves."""
    return '"' + "".join(map(_character, name)) + '"'


def _character(letter: str) -> str:
    plain = letter.isprintable() and letter not in '"\\'
    return letter if plain else f"\\U{ord(letter):08X}"
