"""Metadata that somebody adds to a dataset or an entity: flat, small, and public."""

import math
from collections.abc import Mapping

from p2pgrid.errors import SchemaError
from p2pgrid.protocol.text import plain_text

Metadata = dict[str, str | int | float | bool | None]

MAX_ENTRIES = 32
MAX_KEY = 64
MAX_VALUE = 1024
MAX_INTEGER = 2**63 - 1


def public_metadata(field: str, metadata: Mapping[str, object]) -> Metadata:
    """A copy of the metadata, in the order of its keys.

    Args:
        field: whose metadata it is, for the error.
        metadata: texts, finite numbers, truth values and None by name.

    Raises:
        SchemaError: an entry is something else or too large, or there are too many.
    """
    if len(metadata) > MAX_ENTRIES:
        problem = f"has {len(metadata)} entries; {MAX_ENTRIES} are allowed"
        raise SchemaError(field=field, problem=problem)
    named = {
        plain_text(f"a key of {field}", key, least=1, most=MAX_KEY): value
        for key, value in metadata.items()
    }
    return {key: _checked(f"{field}[{key!r}]", named[key]) for key in sorted(named)}


def _checked(field: str, value: object) -> str | int | float | bool | None:
    if isinstance(value, str):
        return plain_text(field, value, most=MAX_VALUE, lines=True)
    if value is None or (isinstance(value, int) and abs(value) <= MAX_INTEGER):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    problem = f"expected a text, a finite number, a truth value or None, got {type(value).__name__}"
    raise SchemaError(field=field, problem=problem)
