"""URLs of nodes, and the documents behind them."""

import time

import msgspec
import pytest
from hypothesis import given, strategies as st
from nacl.signing import SigningKey

from p2pgrid.errors import (
    AddressError,
    ExpiredRecordError,
    ForgedRecordError,
    IdentityMismatchError,
    P2PGridError,
    RemoteProtocolError,
)
from p2pgrid.ids import peer_id_of
from p2pgrid.protocol.records import DatasetRecord, NodeRecord, SignedRecord, sign
from p2pgrid.protocol.web import (
    NodeDocument,
    document_of,
    is_web,
    peer_id_at,
    read_document,
    web_address,
)

NOW = 1_700_000_000.0
KEY, OTHER = bytes(range(32)), bytes(32)
PEER, OTHER_PEER = (peer_id_of(bytes(SigningKey(key).verify_key)) for key in (KEY, OTHER))
BODY = NodeRecord("network", "NHS", ("/ip4/192.0.2.7/tcp/4001",), 1, int(NOW) + 1800)


@pytest.mark.parametrize(
    ("url", "first", "last"),
    [
        ("http://nhs.co.uk/pygrid", "http://nhs.co.uk/pygrid/.well-known/p2pgrid.json", None),
        ("https://nhs.co.uk/pygrid/", "https://nhs.co.uk/pygrid/.well-known/p2pgrid.json", None),
        ("ws://ucsf.com/a/b", "http://ucsf.com/a/b/.well-known/p2pgrid.json", None),
        ("wss://ucsf.com", None, "https://ucsf.com/.well-known/p2pgrid.json"),
        ("HTTP://localhost:5000", None, "http://localhost:5000/.well-known/p2pgrid.json"),
        ("http://[::1]:80/", None, "http://[::1]/.well-known/p2pgrid.json"),
    ],
)
def test_c06_a_url_leads_to_the_document_below_it_or_at_the_root(
    url: str, first: str | None, last: str | None
) -> None:
    assert is_web(url)
    places = [str(place) for place in web_address(url).documents()]
    assert places[0] == first or len(places) == 1
    assert places[-1] == (last or first.replace("/pygrid", "").replace("/a/b", ""))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [
        *("", "hello", "ftp://a", "http://", "http:///pygrid", "http://a b", "http://a/b c"),
        *("http://user@a", "http://user:secret@a", "http://a?x=1", "http://a#x", "http://a:x"),
        *("http://a:99999", "http://[::1", "http://a/\r\nX: y", "http://\u00fc", "http://a/\u00fc"),
    ],
)
def test_c06_what_is_no_url_of_a_node_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        web_address(text)


@given(st.text(max_size=60))
def test_c06_any_text_is_a_url_or_an_address_error(text: str) -> None:
    for url in (text, f"http://{text}", f"https://a{text}"):
        try:
            again = web_address(str(web_address(url)))
        except AddressError:
            continue
        assert again == web_address(url)
        assert again.path.isascii()


def test_c06_a_peer_id_is_an_address() -> None:
    assert peer_id_at(f"p2pgrid://{PEER}") == peer_id_at(f"p2pgrid://{PEER}/") == PEER
    assert not is_web(f"p2pgrid://{PEER}")
    for wrong in ("p2pgrid://", "p2pgrid://hello", f"p2pgrid://{PEER}/x", "p2pgrid://0OIl"):
        with pytest.raises(AddressError):
            peer_id_at(wrong)


def test_c06_a_document_says_who_is_there() -> None:
    content = document_of(sign(BODY, signing_key=KEY), PEER)
    assert read_document(content, now=NOW) == (PEER, BODY)
    plain = msgspec.json.decode(content)
    assert (plain["kind"], plain["name"], plain["peer_id"]) == ("network", "NHS", PEER)
    assert plain["addresses"] == list(BODY.addresses)
    newer = msgspec.json.encode(plain | {"of_a_later_version": [1, {}]})
    assert read_document(newer, now=NOW) == (PEER, BODY)


def changed(**fields: object) -> bytes:
    plain = msgspec.json.decode(document_of(sign(BODY, signing_key=KEY), PEER))
    return msgspec.json.encode(plain | fields)


def forged() -> bytes:
    signed = sign(BODY, signing_key=KEY)
    return SignedRecord(signed.payload + b"\0", signed.public_key, signed.signature).encode()


def of_a_dataset() -> bytes:
    body = DatasetRecord(
        domain="a",
        dataset_id=b"0" * 16,  # type: ignore[arg-type]
        name="a",
        description="",
        tags=(),
        tensors=(),
        version=1,
        seq=1,
        expires=BODY.expires,
    )
    return sign(body, signing_key=KEY).encode()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (changed(peer_id=OTHER_PEER), IdentityMismatchError),
        (changed(record=sign(BODY, signing_key=OTHER).encode()), IdentityMismatchError),
        (changed(record=forged()), ForgedRecordError),
        (changed(record=of_a_dataset()), ForgedRecordError),
        (changed(record=b"garbage"), RemoteProtocolError),
        (changed(record=bytes(5000)), RemoteProtocolError),
        (changed(record="not base64!"), RemoteProtocolError),
        (changed(peer_id=7), RemoteProtocolError),
        (b"<html>", RemoteProtocolError),
        (b"[" * 60_000, RemoteProtocolError),
        (b'{"kind":"network"}', RemoteProtocolError),
        (b"\xff", RemoteProtocolError),
    ],
)
def test_c06_a_document_that_is_not_to_be_believed(
    content: bytes, error: type[P2PGridError]
) -> None:
    with pytest.raises(error):
        read_document(content, now=NOW)


@pytest.mark.parametrize("now", [NOW + 1800, NOW - 25 * 3600])
def test_c06_a_document_of_another_time_is_refused(now: float) -> None:
    with pytest.raises(ExpiredRecordError):
        read_document(document_of(sign(BODY, signing_key=KEY), PEER), now=now)


def test_the_fields_beside_the_record_are_not_believed() -> None:
    _, body = read_document(changed(kind="domain", name="x", addresses=[]), now=NOW)
    assert body == BODY


@given(st.binary(max_size=300) | st.from_type(NodeDocument).map(msgspec.json.encode))
def test_any_bytes_are_a_document_or_refused(content: bytes) -> None:
    with pytest.raises(P2PGridError):
        read_document(content, now=time.time())
