"""Records in pages: all of them, once, in their order, and no page too large."""

import pytest
from hypothesis import given, strategies as st

from p2pgrid.protocol import paging
from p2pgrid.protocol.messages import MAX_RECORD_BYTES
from p2pgrid.protocol.paging import PAGE_BYTES, first_page, pages_of

sizes = st.lists(st.integers(0, MAX_RECORD_BYTES), max_size=40)


@given(sizes)
def test_pages_have_all_records_in_their_order_and_none_is_too_large(
    given_sizes: list[int],
) -> None:
    records = [bytes(size) for size in given_sizes]
    pages = list(pages_of(records))
    assert [record for page, _ in pages for record in page] == records
    assert [is_last for _, is_last in pages] == [False] * (len(pages) - 1) + [True]
    assert all(sum(map(len, page)) <= PAGE_BYTES for page, _ in pages)
    assert all(page for page, is_last in pages if not is_last)


def test_a_page_has_so_many_records_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PAGE_BYTES", 2)
    assert first_page([(3, b"a"), (5, b"b")]) == ((b"a", b"b"), 0)
    assert first_page([(3, b"a"), (5, b"b"), (8, b"c")]) == ((b"a", b"b"), 5)
    assert first_page([(3, b"a"), (5, b"b")], limit=1) == ((b"a",), 3)
    assert list(pages_of([])) == [((), True)]
