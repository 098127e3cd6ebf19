"""Peers asked at once: what came before the deadline counts, and nothing that comes later."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import cast

import pytest
from hypothesis import given, strategies as st

from p2pgrid.client.asking import Asked, Inquiry, ask_all, newest, out_of_reach
from p2pgrid.config import DEFAULT_LIMITS
from p2pgrid.errors import NetworkUnreachableError
from p2pgrid.net.link import Link, Reply
from p2pgrid.protocol.messages import Found, ListDatasets, Message, Search
from p2pgrid.protocol.queries import query_of
from p2pgrid.protocol.records import DatasetRecord
from tests.unit.hits import peer_of, record, signed

COVID = query_of("covid")
LONG_S = 60.0
Answerer = Callable[[Message], Found]


class Far:
    """The far end of a link; ``answer`` decides what comes back, or waits."""

    def __init__(self, answer: Answerer) -> None:
        self._answer = answer

    def request(self, message: Message, *_: object, timeout_s: float) -> "Future[Reply]":
        assert 0 < timeout_s <= LONG_S
        future: Future[Reply] = Future()
        future.set_result(Reply(self._answer(message), ()))
        return future


def network(name: str, *bodies: DatasetRecord, offline: tuple[int, ...] = ()) -> Asked:
    found = Found(tuple(map(signed, bodies)), offline=offline)
    return asked(name, lambda _: found)


def asked(name: str, answer: Answerer) -> Asked:
    return Asked(name, lambda: cast(Link, Far(answer)), signer=None)


def search(*asked: Asked, within_s: float = LONG_S) -> list[Inquiry]:
    return ask_all(asked, COVID, limits=DEFAULT_LIMITS, within_s=within_s)


@pytest.fixture
def held() -> Iterator[threading.Event]:
    """What an answer waits for; set in the end, so that no thread stays."""
    made = threading.Event()
    yield made
    made.set()


def test_c27_nobody_to_ask_gives_nothing() -> None:
    assert search() == []


def test_c27_all_are_asked_at_once() -> None:
    together = threading.Barrier(8)

    def answer(_: Message) -> Found:
        together.wait(LONG_S)
        return Found((signed(record()),))

    inquiries = search(*(asked(str(number), answer) for number in range(8)))
    assert all(inquiry.is_whole for inquiry in inquiries)
    assert len(newest(inquiries)) == 8


def test_c27_who_comes_late_is_not_heard_any_more(held: threading.Event) -> None:
    pages = [Found((signed(record("early")),), next=1), Found((signed(record("late")),))]

    def answer(message: Message) -> Found:
        assert isinstance(message, Search)
        if message.after:
            held.wait(LONG_S)
        return pages[message.after]

    (inquiry,) = search(asked("slow", answer), within_s=0.2)
    assert [it.name for it in newest([inquiry]).values()] == ["early"]
    assert inquiry.has_answered
    assert not inquiry.is_whole
    assert inquiry.problem == "gave only a part: slow did not answer within 0.2 s"
    held.set()
    for thread in threading.enumerate():
        if thread.name == "p2pgrid-search":
            thread.join(LONG_S)
    assert len(inquiry.records) == 1
    assert not inquiry.is_over


def test_c27_who_cannot_be_reached_is_told_by_why() -> None:
    def link() -> Link:
        raise NetworkUnreachableError(peer="AMA", addresses=1, reason="refused")

    (inquiry,) = search(Asked("AMA", link, signer=None))
    assert not inquiry.has_answered
    assert inquiry.problem.startswith("did not answer: network AMA did not answer")


def test_c27_a_mistake_of_ours_is_not_taken_for_silence() -> None:
    def link() -> Link:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        search(Asked("AMA", link, signer=None))


def test_c27_a_domain_is_asked_for_its_own_and_believed_for_no_others() -> None:
    questions: list[Message] = []

    def answer(message: Message) -> Found:
        questions.append(message)
        return Found((signed(record()), signed(record(domain="CDC"))))

    (inquiry,) = search(Asked("UCSF", lambda: cast(Link, Far(answer)), peer_of("UCSF")))
    assert questions == [ListDatasets(COVID)]
    assert [signer for signer, _ in inquiry.records] == [peer_of("UCSF")]
    assert sum(inquiry.rejected.values()) == 1


@given(st.permutations([1, 5, 3]))
def test_c27_the_newest_record_counts_whoever_gives_it(seqs: list[int]) -> None:
    body = record()
    versions = [
        DatasetRecord(**{f: getattr(body, f) for f in body.__struct_fields__} | {"seq": seq})
        for seq in seqs
    ]
    inquiries = search(*(network(str(it.seq), it) for it in versions))
    assert [it.seq for it in newest(inquiries).values()] == [5]
    assert [it.seq for it in newest(search(network("all", *versions))).values()] == [5]


@given(st.lists(st.sampled_from(["has", "offline", "hasnt"]), min_size=1, max_size=4))
def test_c26_a_domain_is_out_of_reach_when_all_who_list_it_say_so(says: list[str]) -> None:
    body = record()
    made: dict[str, Callable[[str], Asked]] = {
        "has": lambda name: network(name, body),
        "offline": lambda name: network(name, body, offline=(0,)),
        "hasnt": network,
    }
    inquiries = search(*(made[what](str(number)) for number, what in enumerate(says)))
    missing = out_of_reach(newest(inquiries), inquiries)
    assert bool(missing) == ("offline" in says and "has" not in says)
    if missing:
        (names,) = missing.values()
        assert names == [str(n) for n, what in enumerate(says) if what == "offline"]
