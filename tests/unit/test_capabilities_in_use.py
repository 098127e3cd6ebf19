"""A capability in use ends with its time, with its revocation, and never by what is remembered."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from actors import capabilities
from actors.capabilities import LIFETIME_S, Capabilities
from actors.local import LocalState
from actors.state import State
from p2pgrid.errors import CapabilityError
from p2pgrid.protocol.capability import decode, delegate, encode
from p2pgrid.protocol.messages import Account
from tests.unit.test_capability import DOMAIN, KEYS, NOW, SEEDS

ANA = Account("ana", KEYS[1], "scientist")


class Clock:
    """Wall time that stands still."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def known(tmp_path: Path, clock: Clock) -> Capabilities:
    state = LocalState(State(tmp_path / "node.db"))
    return Capabilities(SEEDS[0], domain=DOMAIN, state=state, now=clock)


def refusal(known: Capabilities, encoded: bytes, key: bytes = KEYS[1]) -> str:
    with pytest.raises(CapabilityError) as refused:
        known.admit(encoded, key)
    return refused.value.reason


def given_on(encoded: bytes, **narrowing: Any) -> bytes:
    fields = {"audience": KEYS[2], "nonce": bytes(8)} | narrowing
    return encode(delegate(decode(encoded), SEEDS[1], **fields))


def test_a_login_gives_all_that_the_account_may_do_for_a_day(known: Capabilities) -> None:
    (grant,) = decode(known.mint(ANA)).grants
    assert (grant.account, grant.audience, grant.expires) == ("ana", KEYS[1], NOW + LIFETIME_S)
    assert (grant.objects, grant.operations, grant.to) == (None, None, None)
    assert known.mint(ANA) != known.mint(ANA)


def test_what_is_remembered_expires_all_the_same(known: Capabilities, clock: Clock) -> None:
    async def story() -> None:
        encoded = known.mint(ANA)
        with known.admit(encoded, KEYS[1]) as granted:
            granted.require_live()
            clock.now += LIFETIME_S
            with pytest.raises(CapabilityError):
                granted.require_live()
        assert refusal(known, encoded) == "expired"

    asyncio.run(story())


def test_what_is_remembered_is_for_its_audience_only(known: Capabilities) -> None:
    async def story() -> None:
        encoded = known.mint(ANA)
        with known.admit(encoded, KEYS[1]):
            assert refusal(known, encoded, KEYS[2]) == "audience"

    asyncio.run(story())


def test_a_revocation_ends_what_is_in_use_below_it_and_nothing_else(known: Capabilities) -> None:
    async def story() -> None:
        encoded = known.mint(ANA)
        one, other = given_on(encoded), given_on(encoded, operations=("sum",))
        ended: list[str] = []
        with (
            known.admit(encoded, KEYS[1]) as top,
            known.admit(one, KEYS[2]) as below,
            known.admit(other, KEYS[2]) as beside,
        ):
            for name, granted in (("top", top), ("below", below), ("beside", beside)):
                granted.on_end(partial(ended.append, name))
            below.on_end(partial(ended.append, "taken back"))()
            await known.revoke(decode(one).ids[1], "ana")
            assert ended == ["below"]
            assert below.over is not None
            assert below.over.reason == "revoked"
            await known.revoke(decode(encoded).ids[0], "ana")
            assert sorted(ended) == ["below", "beside", "top"]
            top.on_end(partial(ended.append, "late"))
            assert ended[-1] == "late"
        assert refusal(known, one, KEYS[2]) == "revoked"

    asyncio.run(story())


def test_a_capability_that_is_no_longer_in_use_is_forgotten(known: Capabilities) -> None:
    async def story() -> None:
        encoded = known.mint(ANA)
        ended: list[str] = []
        with known.admit(encoded, KEYS[1]) as granted:
            granted.on_end(lambda: ended.append("ended"))
        await known.revoke(decode(encoded).ids[0], "ana")
        assert ended == []

    asyncio.run(story())


def test_work_ends_when_its_time_is_over(known: Capabilities, clock: Clock) -> None:
    async def story() -> None:
        encoded = known.mint(ANA)
        clock.now += LIFETIME_S - 0.001
        over = asyncio.Event()
        with known.admit(encoded, KEYS[1]) as granted:
            granted.on_end(over.set)
            await asyncio.wait_for(over.wait(), 10)
            assert granted.over is not None
            assert granted.over.reason == "expired"

    asyncio.run(story())


def test_a_restart_knows_what_was_taken_back(known: Capabilities, clock: Clock) -> None:
    async def story() -> None:
        encoded = known.mint(ANA)
        await known.revoke(decode(encoded).ids[0], "ana")
        again = Capabilities(SEEDS[0], domain=DOMAIN, state=known._state, now=clock)
        await again.load()
        assert refusal(again, encoded) == "revoked"

    asyncio.run(story())


def test_what_is_kept_in_memory_is_bounded(
    known: Capabilities, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capabilities, "REMEMBERED", 3)

    async def story() -> None:
        for _ in range(5):
            with known.admit(known.mint(ANA), KEYS[1]):
                pass
        assert len(known._verified) == 3
        assert known._in_use == set()
        await known.revoke(bytes(16), "ana")
        clock.now += LIFETIME_S
        await known.revoke(b"x" * 16, "ana")
        assert set(known._revoked) == {b"x" * 16}

    asyncio.run(story())


def test_who_signed_a_link_is_known_also_when_it_is_revoked(known: Capabilities) -> None:
    async def story() -> None:
        first = known.mint(ANA)
        second = given_on(first)
        ids = decode(second).ids
        await known.revoke(ids[1], "ana")
        assert known.signed_by(ids[1], second, {KEYS[1]})
        assert not known.signed_by(ids[1], second, {KEYS[2]})
        assert not known.signed_by(ids[0], second, {KEYS[1]})
        assert not known.signed_by(ids[1], first, {KEYS[1]})
        with pytest.raises(CapabilityError):
            known.signed_by(ids[1], second[:-1], {KEYS[1]})

    asyncio.run(story())
