"""The key of a closed network: its file, its cipher, and that nothing shows it."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from nacl.secret import SecretBox

from actors.layout import NodeDirectory, settings_from
from p2pgrid import Client
from p2pgrid.errors import NetworkKeyFileError, SchemaError
from p2pgrid.net import key_file
from p2pgrid.net.key_file import home_key, make_key, read_key
from p2pgrid.net.xsalsa20 import hsalsa20, keystream
from p2pgrid.protocol.network_key import decode, encode
from p2pgrid.protocol.secret import Secret

KEYS = st.binary(min_size=32, max_size=32).map(Secret)
PLAIN = {"name": "bob", "kind": "domain", "port": 4100}
EXAMPLE = b"/key/swarm/psk/1.0.0/\n/base16/\n" + b"ab" * 32 + b"\n"
"""A file as ipfs-swarm-key-gen writes it."""


@given(KEYS)
def test_what_is_read_is_what_was_written(key: Secret) -> None:
    assert decode(encode(key)) == key


def test_the_file_is_that_of_libp2p() -> None:
    assert encode(Secret(b"\xab" * 32)) == EXAMPLE
    assert decode(EXAMPLE) == decode(EXAMPLE.strip()) == decode(EXAMPLE.replace(b"\n", b"\r\n"))
    assert decode(EXAMPLE.replace(b"ab", b"AB")) == decode(EXAMPLE)


@given(st.binary(max_size=2000))
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(SchemaError, match="network key"):
        decode(content)


@given(KEYS, st.integers(0, 94), st.integers(0, 255))
def test_a_damaged_file_is_refused_or_another_key(key: Secret, place: int, byte: int) -> None:
    content = bytearray(encode(key))
    content[place] = byte
    text = ""
    try:
        assert len(decode(bytes(content)).reveal()) == 32
    except SchemaError as error:
        text = str(error)
    assert key.reveal().hex()[:8] not in text


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (EXAMPLE + b"one more", "5 words"),
        (EXAMPLE + b" " * 1024, "1,120 bytes"),
        (EXAMPLE.replace(b"base16", b"base64"), "/base16/"),
        (EXAMPLE.replace(b"1.0.0", b"2.0.0"), "1.0.0"),
        (EXAMPLE.replace(b"ab", b"xy"), "not hexadecimal"),
        (EXAMPLE.replace(b"abab\n", b"\n"), "30 bytes"),
    ],
)
def test_the_error_says_what_is_wrong(content: bytes, problem: str) -> None:
    with pytest.raises(SchemaError, match=problem):
        decode(content)


@given(KEYS, st.binary(min_size=24, max_size=24), st.lists(st.binary(max_size=200), max_size=5))
def test_the_cipher_is_that_of_nacl(key: Secret, nonce: bytes, pieces: list[bytes]) -> None:
    plain = b"".join(pieces)
    # NaCl's box is a MAC and XSalsa20, whose first 32 bytes went into the key of the MAC.
    boxed = SecretBox(key.reveal()).encrypt(plain, nonce).ciphertext[16:]
    cipher = keystream(key, nonce)
    cipher.encrypt(bytes(32))
    assert b"".join(cipher.encrypt(piece) for piece in pieces) == boxed


def test_hsalsa20_gives_the_published_value() -> None:
    # Bernstein, "Cryptography in NaCl", section 8.
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    expected = "1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389"
    assert hsalsa20(Secret(bytes.fromhex(shared)), bytes(16)).reveal().hex() == expected


def test_a_new_key_is_private_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "home" / key_file.NAME
    make_key(path)
    first = read_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(NetworkKeyFileError, match="exists"):
        make_key(path)
    make_key(tmp_path / "other")
    assert read_key(path) == first != read_key(tmp_path / "other")


def test_a_file_that_is_no_key_is_named_but_not_shown(tmp_path: Path) -> None:
    with pytest.raises(NetworkKeyFileError, match="No such file"):
        read_key(tmp_path / "nowhere")
    path = tmp_path / "secret"
    path.write_text("hunter2")
    with pytest.raises(NetworkKeyFileError, match=r"secret cannot be used: has 7 bytes") as refused:
        read_key(path)
    assert "hunter2" not in str(refused.value)


def test_a_node_copies_its_key_and_does_not_open_without_it(tmp_path: Path) -> None:
    source = tmp_path / "swarm.key"
    make_key(source)
    directory = NodeDirectory(tmp_path / "bob")
    directory.create(settings_from({**PLAIN, "network_key": str(source)}))
    key = read_key(source)
    source.unlink()
    copy = directory.path / key_file.NAME
    assert directory.network_key() == key
    assert copy.stat().st_mode & 0o777 == 0o600
    assert directory.status().closed
    assert key.reveal().hex() not in directory.settings_file.read_text()
    directory.change({"port": 4101})
    assert directory.network_key() == key
    copy.unlink()
    with pytest.raises(NetworkKeyFileError):
        directory.network_key()


def test_a_node_changes_its_key_or_nothing(tmp_path: Path) -> None:
    directory = NodeDirectory(tmp_path / "bob")
    directory.create(settings_from(PLAIN))
    assert directory.network_key() is None
    assert not directory.status().closed
    with pytest.raises(NetworkKeyFileError):
        directory.change({"port": 4101, "network_key": str(tmp_path / "nowhere")})
    assert directory.settings().port == 4100
    for name in ("first", "second"):
        make_key(tmp_path / name)
        directory.change({"network_key": str(tmp_path / name)})
        assert directory.network_key() == read_key(tmp_path / name)


def test_no_node_is_made_with_a_key_that_is_none(tmp_path: Path) -> None:
    directory = NodeDirectory(tmp_path / "bob")
    with pytest.raises(NetworkKeyFileError):
        directory.create(settings_from({**PLAIN, "network_key": str(tmp_path / "nowhere")}))
    assert not directory.path.exists()


def test_the_key_of_a_home_is_that_of_its_client(tmp_path: Path) -> None:
    assert home_key(tmp_path) is None
    assert Client(tmp_path).network_key is None
    make_key(tmp_path / key_file.NAME)
    assert Client(tmp_path).network_key == tmp_path / key_file.NAME
    other = tmp_path / "other"
    assert Client(tmp_path, network_key=other).network_key == other
    with pytest.raises(NetworkKeyFileError):
        _ = Client(tmp_path, network_key=other).peer
