"""Processes that several files of tests share: each takes seconds to start."""

from collections.abc import Iterator

import pytest

from tests.libp2p.dht_nodes import Process, encoded, process, record_of


@pytest.fixture(scope="session")
def others() -> Iterator[list[Process]]:
    """Three servers in three processes; the second has a record, the third one and a tag."""
    with (
        process(101) as first,
        process(102, join=first.addresses, records=[encoded(record_of(102))]) as second,
        process(
            103, join=first.addresses, records=[encoded(record_of(103))], tags=["far"]
        ) as third,
    ):
        yield [first, second, third]
