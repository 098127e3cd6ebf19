"""What hashing costs, that unknown users cost the same, and how often one may try."""

import asyncio
import threading

import pytest
from hypothesis import given, settings, strategies as st
from nacl.pwhash import argon2id

from actors import passwords
from actors.passwords import AT_ONCE, WAITING, Passwords
from p2pgrid.client import passwords as proofs
from p2pgrid.client.passwords import proof_of
from p2pgrid.errors import BusyError, SchemaError
from p2pgrid.policy.attempts import Attempts
from p2pgrid.protocol.account_names import account_name
from p2pgrid.protocol.secret import Secret
from tests.unit.wallets import DOMAIN, OTHER

PROOF, WRONG = Secret(bytes(32)), Secret(bytes([1]) * 32)
PARAMETERS = "$argon2id$v=19$m=65536,t=3,p=1"


def test_a_hash_is_salted_fits_its_password_and_tells_its_parameters() -> None:
    async def work() -> None:
        hashing = Passwords()
        first, second = await hashing.hash(PROOF), await hashing.hash(PROOF)
        assert first != second
        assert {it.rsplit("$", 2)[0] for it in (first, second)} == {PARAMETERS}
        assert await hashing.fits(PROOF, first)
        assert not await hashing.fits(WRONG, first)
        hashing.close()

    asyncio.run(work())


def test_without_a_hash_the_work_is_the_same_and_no_password_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same parameters, the same length of salt and digest: libsodium does the same work."""
    seen: list[list[str]] = []
    verify = argon2id.verify

    def counted(hashed: bytes, proof: bytes) -> bool:
        seen.append(hashed.decode().split("$"))
        return bool(verify(hashed, proof))

    async def work() -> None:
        hashing = Passwords()
        known = await hashing.hash(PROOF)
        monkeypatch.setattr(argon2id, "verify", counted)
        assert await hashing.fits(PROOF, known)
        assert not await hashing.fits(PROOF, None)
        hashing.close()

    asyncio.run(work())
    first, second = seen
    assert first[:4] == second[:4]
    assert [len(it) for it in first] == [len(it) for it in second]
    assert passwords._nobodys() != passwords._nobodys()


def test_hashing_is_bounded_and_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    at_work: list[int] = []

    def held(*_: object) -> bool:
        at_work.append(threading.get_ident())
        return hold.wait(30)

    async def work() -> None:
        hashing = Passwords()
        waiting = [asyncio.ensure_future(hashing.fits(PROOF, "")) for _ in range(WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match=str(WAITING)):
            await hashing.fits(PROOF, None)
        hold.set()
        assert await asyncio.gather(*waiting) == [True] * WAITING
        assert await hashing.fits(PROOF, "")
        hashing.close()

    monkeypatch.setattr(passwords, "_fits", held)
    asyncio.run(work())
    assert 1 <= len(set(at_work)) <= AT_ONCE
    assert threading.get_ident() not in at_work


def test_a_proof_is_of_one_domain_one_account_and_one_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = proof_of(Secret(b"password"), domain=DOMAIN, account="a@b")
    assert made.reveal().hex() == PINNED
    monkeypatch.setattr(proofs, "PASSES", 1)
    monkeypatch.setattr(proofs, "MEMORY", 8192)
    all_of_them = [
        proof_of(Secret(password), domain=domain, account=account).reveal()
        for password in (b"password", b"Password")
        for domain in (DOMAIN, OTHER)
        for account in ("a@b", "a@c")
    ]
    assert len(set(all_of_them)) == 8
    assert {len(it) for it in all_of_them} == {32}


PINNED = "5fcf70f8f7e3c8f40882d120d98de5fec4d40f0f87a6f00a263c489763fd254c"
"""A change would lock everybody out."""


@pytest.mark.parametrize("email", ["a@b", " A@B\n", "me@patrickcason.com", "x" * 126 + "@y"])
def test_a_name_has_one_form(email: str) -> None:
    name = account_name(email)
    assert account_name(name) == name == email.strip().lower()


@given(st.text(max_size=140))
def test_a_name_is_ascii_with_one_at_or_refused(text: str) -> None:
    try:
        name = account_name(text)
    except SchemaError:
        return
    assert name.isascii()
    assert name.isprintable()
    assert " " not in name
    assert [bool(part) for part in name.split("@")] == [True, True]
    assert account_name(name) == name


def test_bursts_are_allowed_and_then_one_at_a_time() -> None:
    attempts = Attempts(burst=3, every_s=10.0, remembered=8)
    assert [attempts.take("a", now=0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 10.0]
    assert attempts.take("b", now=0.0) == 0.0
    assert attempts.take("a", now=4.0) == 6.0
    assert attempts.take("a", now=10.0) == 0.0
    assert attempts.take("a", now=10.0) == 10.0
    attempts.give_back("a")
    assert attempts.take("a", now=10.0) == 0.0


@settings(max_examples=200)
@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.booleans()), max_size=60)
)
def test_no_name_ever_gets_more_than_its_burst_and_its_rate(
    steps: list[tuple[int, str, bool]],
) -> None:
    """In every span of time, of those that were not given back."""
    burst, every = 3, 2.0
    attempts = Attempts(burst=burst, every_s=every, remembered=3)
    now = 0
    taken: list[tuple[int, str]] = []
    for pause, name, succeeds in steps:
        now += pause
        wait_s = attempts.take(name, now=now)
        of_name = [at for at, other in taken if other == name]
        if wait_s == 0.0 and succeeds:
            attempts.give_back(name)
        elif wait_s == 0.0:
            taken.append((now, name))
            for start in of_name:
                within = [at for at in (*of_name, now) if at >= start]
                assert len(within) <= burst + (now - start) / every + 1e-9
        else:
            assert len(of_name) >= burst
        assert len(attempts) <= 3


def test_names_that_are_remembered_are_bounded_and_the_worst_stay() -> None:
    attempts = Attempts(burst=2, every_s=100.0, remembered=4)
    for _ in range(3):
        attempts.take("victim", now=0.0)
    for number in range(50):
        assert attempts.take(f"name {number}", now=0.0) == 0.0
        assert len(attempts) <= 4
    assert attempts.take("victim", now=1.0) > 0
