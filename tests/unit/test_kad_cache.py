"""The rules of the record cache, whatever is kept in it and whenever."""

import pytest
from hypothesis import given, strategies as st

from p2pgrid.ids import PeerId
from p2pgrid.net import kad_cache
from p2pgrid.net.kad_cache import Found, RecordCache
from p2pgrid.protocol.records import NodeRecord, SignedRecord

PEER = PeerId("p")
SIGNED = SignedRecord(b"", bytes(32), bytes(64))


def found(seq: int, *, expires: int = 1000) -> Found:
    return Found(NodeRecord("domain", "clinic", (), seq=seq, expires=expires), SIGNED)


@given(seqs=st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_a_record_never_goes_back_to_a_lower_seq(seqs: list[int]) -> None:
    cache = RecordCache(fresh_s=30.0)
    for time, seq in enumerate(seqs):
        cache.keep(PEER, found(seq), now=time)
        newest = cache.newest(PEER, now=time)
        assert newest is not None
        assert newest.record.seq == max(seqs[: time + 1])


@pytest.mark.parametrize(
    ("now", "fresh"), [(100.0, True), (129.9, True), (130.0, False), (99.0, False)]
)
def test_a_record_is_fresh_for_a_while(now: float, fresh: bool) -> None:
    cache = RecordCache(fresh_s=30.0)
    assert not cache.is_fresh(PEER, now=now)
    cache.keep(PEER, found(1), now=100.0)
    assert cache.is_fresh(PEER, now=now) is fresh
    assert cache.newest(PEER, now=now) is not None


def test_an_expired_record_is_not_given_out_and_any_other_replaces_it() -> None:
    cache = RecordCache(fresh_s=30.0)
    cache.keep(PEER, found(9, expires=50), now=10.0)
    assert cache.newest(PEER, now=49.9) is not None
    assert cache.newest(PEER, now=50.0) is None
    cache.keep(PEER, found(1), now=60.0)
    newest = cache.newest(PEER, now=60.0)
    assert newest is not None
    assert newest.record.seq == 1


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kad_cache, "MAX_RECORDS", 3)
    cache = RecordCache(fresh_s=30.0)
    for number in range(5):
        cache.keep(PeerId(str(number)), found(1), now=0.0)
    kept = [n for n in range(5) if cache.newest(PeerId(str(n)), now=0.0) is not None]
    assert kept == [2, 3, 4]
