"""The rules of an exchange, whatever order things happen in."""

import math

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from p2pgrid.errors import BusyError, RemoteProtocolError
from p2pgrid.protocol.exchange import Exchange

LIMIT = 3


class ExchangeMachine(RuleBasedStateMachine):
    """One end of a link, with a peer that answers and repeats as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange = Exchange(limit=LIMIT)
        self.now = 0.0
        self.numbers: list[int] = []
        self.waiting: dict[int, float] = {}
        self.ended: list[int] = []
        self.late: set[int] = set()
        self.handled: list[int] = []
        self.unanswered: set[int] = set()

    @precondition(lambda self: len(self.waiting) + len(self.late) < LIMIT)
    @rule(patience=st.integers(0, 5))
    def ask(self, patience: int) -> None:
        number = self.exchange.open(deadline=self.now + patience)
        self.numbers.append(number)
        self.waiting[number] = self.now + patience

    @precondition(lambda self: len(self.waiting) + len(self.late) == LIMIT)
    @rule()
    def ask_too_much(self) -> None:
        with pytest.raises(BusyError) as caught:
            self.exchange.open(deadline=self.now)
        assert caught.value.limit == LIMIT

    @precondition(lambda self: self.numbers)
    @rule(data=st.data())
    def an_answer_comes(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(self.numbers))
        assert self.exchange.close(number) is (number in self.waiting)
        self.late.discard(number)
        if self.waiting.pop(number, None) is not None:
            self.ended.append(number)

    @rule(beyond=st.integers(1, 3), below=st.integers(-3, 0))
    def an_answer_to_nothing_comes(self, beyond: int, below: int) -> None:
        for number in (len(self.numbers) + beyond, below):
            with pytest.raises(RemoteProtocolError, match=f"request {number},"):
                self.exchange.close(number)

    @rule(passing=st.integers(0, 4))
    def time_passes(self, passing: int) -> None:
        self.now += passing
        late = self.exchange.expire(now=self.now)
        assert set(late) == {number for number, at in self.waiting.items() if at <= self.now}
        for number in late:
            del self.waiting[number]
            self.ended.append(number)
            self.late.add(number)

    @rule(ahead=st.integers(-4, 3))
    def a_request_comes(self, ahead: int) -> None:
        number = max(self.handled, default=0) + ahead
        is_new = ahead > 0
        if is_new and len(self.unanswered) == LIMIT:
            with pytest.raises(RemoteProtocolError, match=f"more than {LIMIT} requests"):
                self.exchange.accept(number)
        else:
            assert self.exchange.accept(number) is is_new
            if is_new:
                self.handled.append(number)
                self.unanswered.add(number)

    @rule(data=st.data())
    def a_request_is_answered(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([*self.handled, 0, 99]))
        assert self.exchange.finish(number) is (number in self.unanswered)
        self.unanswered.discard(number)

    @invariant()
    def numbers_go_up_by_one(self) -> None:
        assert self.numbers == list(range(1, len(self.numbers) + 1))

    @invariant()
    def a_request_ends_once(self) -> None:
        assert sorted([*self.ended, *self.waiting]) == self.numbers
        assert self.exchange.waiting == len(self.waiting) <= LIMIT

    @invariant()
    def a_request_is_handled_at_most_once(self) -> None:
        assert len(set(self.handled)) == len(self.handled)
        assert self.exchange.working_on == len(self.unanswered) <= LIMIT

    @invariant()
    def the_next_deadline_is_the_earliest(self) -> None:
        earliest = min(self.waiting.values(), default=math.inf)
        assert self.exchange.next_deadline() == earliest


TestTheRulesOfAnExchange = ExchangeMachine.TestCase


def test_the_first_request_is_number_one() -> None:
    assert Exchange(limit=1).open(deadline=1.0) == 1


def test_a_request_over_the_limit_is_refused_and_takes_no_number() -> None:
    exchange = Exchange(limit=1)
    exchange.open(deadline=1.0)
    with pytest.raises(BusyError):
        exchange.open(deadline=1.0)
    assert exchange.close(1)
    assert exchange.open(deadline=1.0) == 2


def test_a_second_answer_is_dropped() -> None:
    exchange = Exchange(limit=1)
    exchange.open(deadline=1.0)
    assert [exchange.close(1), exchange.close(1)] == [True, False]


@pytest.mark.parametrize("number", [-1, 0, 2, 2**62])
def test_an_answer_to_what_was_never_asked_breaks_the_protocol(number: int) -> None:
    exchange = Exchange(limit=1)
    exchange.open(deadline=1.0)
    with pytest.raises(RemoteProtocolError, match="never sent"):
        exchange.close(number)
    assert exchange.waiting == 1


def test_an_answer_after_the_deadline_is_dropped() -> None:
    exchange = Exchange(limit=1)
    exchange.open(deadline=1.0)
    assert exchange.expire(now=0.999) == ()
    assert exchange.expire(now=1.0) == (1,)
    assert not exchange.close(1)
    assert exchange.next_deadline() == math.inf


def test_a_request_that_ended_by_its_deadline_keeps_its_place_until_it_is_answered() -> None:
    exchange = Exchange(limit=1)
    exchange.open(deadline=1.0)
    exchange.expire(now=1.0)
    with pytest.raises(BusyError):
        exchange.open(deadline=2.0)
    assert not exchange.close(1)
    assert exchange.open(deadline=2.0) == 2


def test_a_repeated_request_is_dropped_before_and_after_its_answer() -> None:
    exchange = Exchange(limit=2)
    assert exchange.accept(1)
    assert not exchange.accept(1)
    assert exchange.finish(1)
    assert not exchange.accept(1)
    assert not exchange.finish(1)


def test_a_request_older_than_the_last_is_dropped() -> None:
    exchange = Exchange(limit=2)
    assert exchange.accept(5)
    assert not exchange.accept(4)
    assert exchange.working_on == 1


def test_a_peer_may_work_up_to_the_limit_but_not_over_it() -> None:
    exchange = Exchange(limit=2)
    assert exchange.accept(1)
    assert exchange.accept(2)
    with pytest.raises(RemoteProtocolError, match="2 requests"):
        exchange.accept(3)
    assert exchange.finish(1)
    assert exchange.accept(3)


def test_the_two_directions_do_not_share_numbers() -> None:
    exchange = Exchange(limit=1)
    assert exchange.open(deadline=1.0) == 1
    assert exchange.accept(1)
    assert exchange.close(1)
    assert exchange.working_on == 1
