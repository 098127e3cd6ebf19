"""What was taken back stays so, across restarts, for as long as it matters."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import revocations
from actors.ports import Revocation
from actors.state import State
from p2pgrid.errors import QuotaExceededError

FIRST = Revocation(b"1" * 16, "ana", 100)
SECOND = Revocation(b"2" * 16, "ana", 200)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "node.db"


@pytest.fixture
def state(database: Path) -> Iterator[State]:
    made = State(database)
    yield made
    made.close()


def test_a_revocation_survives_a_restart(database: Path, state: State) -> None:
    state.revoke(FIRST, now=0)
    again = State(database)
    assert again.revocations() == (FIRST,)
    again.close()


def test_the_same_again_changes_nothing_and_the_later_end_counts(state: State) -> None:
    for expires in (100, 100, 150, 120):
        state.revoke(FIRST._replace(expires=expires), now=0)
    assert state.revocations() == (FIRST._replace(expires=150),)


def test_what_has_expired_is_forgotten_and_nothing_earlier(state: State) -> None:
    state.revoke(FIRST, now=0)
    state.revoke(SECOND, now=99)
    assert state.revocations() == (FIRST, SECOND)
    state.revoke(SECOND, now=100)
    assert state.revocations() == (SECOND,)


def test_one_account_does_not_fill_the_disk(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocations, "MOST_OF_ACCOUNT", 1)
    state.revoke(FIRST, now=0)
    with pytest.raises(QuotaExceededError):
        state.revoke(SECOND, now=0)
    state.revoke(FIRST, now=0)
    state.revoke(SECOND._replace(account="eve"), now=0)
    assert len(state.revocations()) == 2
