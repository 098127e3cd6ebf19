"""The directory of a node."""

from pathlib import Path

import pytest

from actors.layout import EVERYWHERE, NodeDirectory, settings_from
from p2pgrid.errors import DuplicateError, NodeError, NodeNotFoundError, SchemaError

PLAIN = {"name": "bob", "kind": "domain", "port": 4100}


def test_a_node_that_listens_everywhere_has_to_say_where_it_is_reached() -> None:
    with pytest.raises(SchemaError, match="announce"):
        settings_from({**PLAIN, "host": EVERYWHERE})
    there = ("/ip4/198.51.100.7/tcp/4100",)
    assert settings_from({**PLAIN, "host": EVERYWHERE, "announce": there}).announce == there


def test_settings_that_do_not_exist_are_refused_by_name() -> None:
    with pytest.raises(SchemaError, match="prot"):
        settings_from({**PLAIN, "prot": 1})


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"kind": "network", "relayed": True}, "is for domains"),
        ({"relay_port": 4002}, "are for networks"),
        ({"websocket_port": 443}, "are for networks"),
        ({"proxy": "proxy.example:3128"}, "expected a URL"),
    ],
)
def test_what_concerns_relays_goes_with_the_kind_of_the_node(
    settings: dict[str, object], problem: str
) -> None:
    with pytest.raises(SchemaError, match=problem):
        settings_from({**PLAIN, **settings})


def test_a_directory_keeps_its_identity_to_its_owner(tmp_path: Path) -> None:
    directory = NodeDirectory(tmp_path / "bob")
    with pytest.raises(NodeNotFoundError):
        directory.settings()
    directory.create(settings_from(PLAIN))
    assert directory.identity_file.stat().st_mode & 0o777 == 0o600
    assert directory.path.stat().st_mode & 0o777 == 0o700
    peer_id = directory.peer_id()
    with pytest.raises(DuplicateError):
        directory.create(settings_from(PLAIN))
    assert NodeDirectory(directory.path).peer_id() == peer_id


def test_an_isolation_is_chosen_once(tmp_path: Path) -> None:
    shared = {**PLAIN, "isolation": "packed", "embedded": "/somewhere"}
    directory = NodeDirectory(tmp_path / "bob")
    directory.create(settings_from(shared))
    assert directory.cluster() == Path("/somewhere")
    directory.change({"port": 4101})
    for other in ({"isolation": "cluster"}, {"isolation": "actors"}):
        with pytest.raises(NodeError, match="made with isolation packed"):
            directory.change(other)
    with pytest.raises(NodeError, match="/somewhere"):
        directory.change({"embedded": "/elsewhere"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"isolation": "packed"},
        {"embedded": "/somewhere"},
        {"isolation": "actors", "embedded": "/somewhere", "num_gpus": 1},
        {"isolation": "packed", "embedded": "/somewhere", "resources": {"scanner": 1}},
        {"isolation": "none"},
    ],
)
def test_an_isolation_has_the_settings_that_belong_to_it(wrong: dict[str, object]) -> None:
    with pytest.raises(SchemaError):
        settings_from({**PLAIN, **wrong})


def test_an_owner_is_named_by_64_hexadecimal_characters(tmp_path: Path) -> None:
    directory = NodeDirectory(tmp_path / "bob")
    directory.create(settings_from(PLAIN))
    assert directory.owner_key() is None
    for wrong in ("", "ab", "g" * 64, "AB" * 32):
        with pytest.raises(SchemaError):
            directory.set_owner(wrong)
    directory.set_owner("ab" * 32)
    assert directory.owner_key() == b"\xab" * 32


def test_people_sign_up_at_domains_only() -> None:
    assert settings_from({"name": "a", "kind": "domain", "port": 1}).signup == "closed"
    with pytest.raises(SchemaError, match="signup"):
        settings_from({"name": "a", "kind": "network", "port": 1, "signup": "open"})
