"""C17 on real sockets, with hashes that cost what they cost."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.layout import NodeDirectory, settings_from
from actors.pack import Pack
from p2pgrid import Client, DomainClient
from p2pgrid.client.ports import free_ports
from p2pgrid.errors import AccountExistsError, AuthenticationError, SetupTokenError

pytestmark = pytest.mark.libp2p

EMAIL, PASSWORD = "me@patrickcason.com", "correct horse battery"
Dial = Callable[[str], DomainClient]


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """The directory of a domain without an owner, where people may sign up."""
    directory = NodeDirectory(tmp_path / "clinic")
    fields = {"name": "clinic", "kind": "domain", "port": free_ports(1)[0], "signup": "open"}
    directory.create(settings_from({**fields, "isolation": "packed", "embedded": "/nowhere"}))
    return directory.path


@pytest.fixture
def pack(tmp_path: Path) -> Iterator[Pack]:
    made = Pack(tmp_path / "pack.json")
    yield made
    made.close()


@pytest.fixture
def dial(pack: Pack, clinic: Path, tmp_path: Path) -> Iterator[Dial]:
    """The domain, as a program of a person sees it."""
    programs: list[Client] = []

    def dial(person: str) -> DomainClient:
        programs.append(Client(tmp_path / person))
        return programs[-1].domain_at(pack.serving()[clinic].addresses[0])

    yield dial
    for program in programs:
        program.close()


def test_c17_people_sign_up_and_log_in_from_another_machine(
    pack: Pack, clinic: Path, dial: Dial
) -> None:
    token = pack.start([clinic])[clinic]
    owner = dial("owner").claim(token)
    owner.publish("weights", [1.5, 2.5], allowed_users=(EMAIL,))
    with pytest.raises(AccountExistsError):  # kept for whom the owner meant
        dial("me").signup(EMAIL, PASSWORD)
    owner.publish("heights", [1.0, 2.0])
    user = dial("ana").signup("ana@x.org", PASSWORD)
    laptop = dial("laptop")
    assert laptop.login("ana@x.org", PASSWORD) == user
    assert (laptop.search()[1].pointers[0] * 2).shape == (2,)
    texts = set()
    for email in ("ana@x.org", "nobody@x.org"):
        with pytest.raises(AuthenticationError) as refused:
            dial("eve").login(email, "wrong password")
        texts.add(str(refused.value))
    assert len(texts) == 1
    assert {account.name for account in owner.users.list()} == {"owner", "ana@x.org"}


def test_a_setup_token_is_told_at_a_start_and_outlives_a_crash(
    pack: Pack, clinic: Path, dial: Dial
) -> None:
    first = pack.start([clinic])[clinic]
    assert pack.start([clinic]) == {}
    pack.stop([clinic])
    second = pack.start([clinic])[clinic]
    with pytest.raises(SetupTokenError):
        dial("me").claim(first)
    pack._stop_node(clinic)
    pack._start_again(clinic)  # as Ray does after a crash: nobody is there to be told
    dial("me").claim(second).publish("weights", [1.0])
    pack.stop([clinic])
    assert pack.start([clinic]) == {}
