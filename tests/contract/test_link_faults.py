"""Under seeded faults every request ends in time, and is handled once; by the virtual clock."""

import random
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, field

import trio
from hypothesis import example, given, strategies as st

from p2pgrid.errors import RemoteTimeoutError, TransportError
from p2pgrid.net.link import Inbound, Link, OnRequest, Reply
from p2pgrid.net.memory import Faults, MemoryHub
from tests.contract.links import echo, linked, number_in, question
from tests.contract.worlds import Memory, run


@dataclass
class Story:
    """What happened at both ends of a faulty wire."""

    asked: dict[tuple[str, int], float] = field(default_factory=dict)
    ended: dict[tuple[str, int], float] = field(default_factory=dict)
    outcomes: dict[tuple[str, int], Reply | BaseException] = field(default_factory=dict)
    handled: Counter[tuple[str, int]] = field(default_factory=Counter)

    def ask(self, side: str, link: Link, number: int, timeout_s: float) -> None:
        key = (side, number)
        try:
            future = link.request(question(number), timeout_s=timeout_s)
        except TransportError:
            return
        self.asked[key] = trio.current_time() + timeout_s
        future.add_done_callback(lambda done: self.end(key, done))

    def end(self, key: tuple[str, int], done: Future[Reply]) -> None:
        assert key not in self.ended
        self.ended[key] = trio.current_time()
        self.outcomes[key] = done.exception() or done.result()

    def handler(self, side: str, delays: random.Random, nursery: trio.Nursery) -> OnRequest:
        """Answers after a while, or never."""

        async def answer(inbound: Inbound) -> None:
            await trio.sleep(delays.uniform(0, 3))
            echo(inbound)

        def handle(inbound: Inbound) -> None:
            self.handled[side, number_in(inbound.message)] += 1
            if delays.random() < 0.9:
                nursery.start_soon(answer, inbound)

        return handle


CHANCES = st.sampled_from([0.0, 0.01, 0.1, 0.5])


@given(
    seed=st.integers(0, 2**32 - 1),
    drop=CHANCES,
    duplicate=CHANCES,
    disconnect=CHANCES,
    delay_s=st.sampled_from([0.0, 0.1, 3.0]),
)
@example(seed=0, drop=0.0, duplicate=1.0, disconnect=0.0, delay_s=0.0)
@example(seed=0, drop=1.0, duplicate=0.0, disconnect=0.0, delay_s=0.0)
@example(seed=0, drop=0.0, duplicate=0.0, disconnect=0.0, delay_s=20.0)
def test_under_faults_requests_end_in_time_and_are_handled_once(
    seed: int, drop: float, duplicate: float, disconnect: float, delay_s: float
) -> None:
    story = Story()
    chance = random.Random(seed)  # noqa: S311 faults, not keys
    memory = Memory(MemoryHub(seed, Faults(drop, duplicate, disconnect, delay_s)))

    async def ask_often(side: str, link: Link) -> None:
        for number in range(1, 30):
            story.ask(side, link, number, timeout_s=chance.uniform(0.1, 10))
            await trio.sleep(chance.choice([0, 0, 0.1, 1]))

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            answers = [story.handler(side, chance, nursery) for side in ("far", "near")]
            async with linked(memory, *answers) as (near, far):
                async with trio.open_nursery() as askers:
                    askers.start_soon(ask_often, "near", near)
                    askers.start_soon(ask_often, "far", far)
                await trio.sleep(20)
                assert not near._waiting
                assert not far._waiting

    run(memory, work)
    assert story.ended.keys() == story.asked.keys()
    for key, at in story.ended.items():
        assert at <= story.asked[key] + 1e-6
    assert set(story.handled.values()) <= {1}
    for (side, number), result in story.outcomes.items():
        if isinstance(result, Reply):
            assert number_in(result.message) == number
            assert story.handled[side, number] == 1
        else:
            assert isinstance(result, TransportError)
    if disconnect == drop == 0 and delay_s < 3:  # nothing broke
        assert all(
            isinstance(result, Reply | RemoteTimeoutError) for result in story.outcomes.values()
        )
