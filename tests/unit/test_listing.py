"""The published list of operations is that of the registry."""

from pathlib import Path

from p2pgrid.protocol.operations import REGISTRY
from p2pgrid.protocol.operations.listing import page

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_published_list_is_up_to_date() -> None:
    assert PAGE.read_text() == page()


def test_every_operation_says_what_it_gives() -> None:
    assert [name for name, entry in REGISTRY.items() if not entry.bind.__doc__] == []
