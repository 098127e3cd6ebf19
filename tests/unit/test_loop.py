"""The thread of asyncio: what is under way ends with it, or with the node that began it."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from actors.capabilities import Granted
from actors.gateway import Gateway, Handler, LinkSession
from actors.loop import LoopThread
from actors.meter import Load
from actors.record_book import RecordBook
from p2pgrid.errors import AuthenticationError
from p2pgrid.policy.leases import Lease, Owner
from p2pgrid.protocol.messages import Account, Message

SEED = bytes(range(32))


class Quiet:
    """A service that answers nothing."""

    kind = "domain"
    name = "bob"
    handlers: Mapping[type[Message], Handler] = MappingProxyType({})
    by_capability: frozenset[type[Message]] = frozenset()

    def account_of(self, _: bytes) -> None: ...
    def mint(self, account: Account) -> bytes:  # noqa: ARG002
        raise AuthenticationError(domain=self.name)

    def admit(self, capability: bytes, key: bytes) -> Granted:  # noqa: ARG002
        raise AuthenticationError(domain=self.name)

    def claim(self, owner: Owner, holder: LinkSession) -> Lease:  # noqa: ARG002
        raise AuthenticationError(domain=self.name)

    def release(self, lease: Lease, holder: LinkSession) -> None: ...
    async def end(self, lease: Lease) -> None: ...
    def held(self) -> Load:
        return Load()

    def own_record(self) -> bytes:
        return b""


async def for_ever() -> None:
    await asyncio.Event().wait()


def test_a_loop_that_stops_ends_what_runs_there() -> None:
    thread = LoopThread()
    task = thread.spawn(for_ever())
    assert not task.done()
    thread.stop()
    assert task.cancelled()
    assert thread.loop.is_closed()


def test_a_result_and_an_error_come_back() -> None:
    async def seven() -> int:
        return 7

    async def wrong() -> None:
        raise KeyError("wrong")

    thread = LoopThread()
    assert thread.run(seven()) == 7
    with pytest.raises(KeyError):
        thread.run(wrong())
    thread.stop()


def test_a_gateway_that_closes_ends_its_own_tasks_and_no_others() -> None:
    thread = LoopThread()
    others = thread.spawn(for_ever())
    book = RecordBook(seed=SEED, name="bob", kind="domain", addresses=tuple)
    gateway = Gateway(Quiet(), peer_id=book.peer_id, loop=thread.loop)

    async def begin() -> None:
        gateway._spawn(for_ever())

    async def under_way() -> int:
        return len(asyncio.all_tasks()) - 1

    thread.run(begin())
    assert thread.run(under_way()) == 2
    thread.run(gateway.close())
    assert thread.run(under_way()) == 1
    assert not others.done()
    thread.stop()
