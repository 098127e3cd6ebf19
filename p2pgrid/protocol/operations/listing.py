"""The registry as a page of the documentation."""

from collections.abc import Iterable

from p2pgrid.protocol.operations.entry import Operation
from p2pgrid.protocol.operations.registry import REGISTRY

_HEAD = """\
# Operations on pointers

Made from the registry by `python -m p2pgrid.protocol.operations`; a test compares the two.

Each is numpy's operation of that name, on arrays that stay in their domain: shapes broadcast,
dtypes are promoted, and Python numbers are weakly typed as in numpy 2. Write it as a function of
numpy (`np.sum(pointer, axis=0)`), as a method where the column says so (`pointer.sum(axis=0)`), as
a function of torch (with torch's arguments and numpy's dtypes), or as Python's operator. Anything
else raises `UnsupportedRemoteOpError`, which names the nearest operation. The `group_` operations
are ours, methods only; [tables](scientists.md#tables) write them.

| operation | method | other names | in torch | what it gives |
|---|---|---|---|---|
"""


def page() -> str:
    """The page, in Markdown."""
    return _HEAD + "".join(map(_row, REGISTRY.values()))


def _row(operation: Operation) -> str:
    what = " ".join((operation.bind.__doc__ or "").split()).replace("``", "`")
    cells = (
        f"`{operation.signature}`",
        "yes" if operation.is_method else "",
        _names(operation.aliases),
        _names(operation.torch),
        what,
    )
    return f"| {' | '.join(cells)} |\n"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
