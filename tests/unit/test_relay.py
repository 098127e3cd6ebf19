"""What relays and HTTP proxies are told first; who has a place at a relay."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing
from hypothesis import given, strategies as st
from multiaddr import Multiaddr

from p2pgrid.config import Limits
from p2pgrid.errors import (
    AddressError,
    BusyError,
    IdentityMismatchError,
    RemoteProtocolError,
    SchemaError,
)
from p2pgrid.ids import PeerId, peer_id_of
from p2pgrid.net.addresses import (
    Route,
    circuits,
    is_dialable,
    parse_address,
    relay_addresses,
    route_of,
    target_of,
)
from p2pgrid.net.link import Link
from p2pgrid.net.relay_places import Places, RefusedError
from p2pgrid.protocol.proxy import Proxy, decode_answer, encode_connect, parse_proxy
from p2pgrid.protocol.relay import (
    MAX_HELLO_BYTES,
    REASONS,
    TICKET_BYTES,
    Dial,
    Hello,
    Take,
    Verdict,
    decode_hello,
    decode_verdict,
    encode_hello,
)

ANN, BOB, RELAY = (peer_id_of(bytes([number]) * 32) for number in (1, 2, 3))
PLAIN = f"/ip4/192.0.2.7/tcp/4002/p2p/{RELAY}"
WEBSOCKET = f"/dns4/relay.example/tcp/443/tls/ws/p2p/{RELAY}"

hellos = st.one_of(
    st.builds(Dial, st.text("12D3KooW", max_size=64), st.sampled_from(["libp2p", "tls", "bulk"])),
    st.builds(Take, st.binary(min_size=TICKET_BYTES, max_size=TICKET_BYTES)),
)

# --- hellos -----------------------------------------------------------------------------------


@given(hello=hellos)
def test_a_hello_is_read_as_it_was_written(hello: Hello) -> None:
    size, *body = encode_hello(hello)
    assert size == len(body) <= MAX_HELLO_BYTES
    assert decode_hello(bytes(body)) == hello


def test_hellos_are_written_like_this() -> None:
    assert encode_hello(Dial("12D3", "tls")).hex() == "0f93a46469616ca431324433a3746c73"
    take = encode_hello(Take(b"t" * TICKET_BYTES))
    assert take.hex() == "2892a474616b65c420" + "74" * TICKET_BYTES
    assert len(encode_hello(Dial(ANN, "libp2p"))) <= MAX_HELLO_BYTES


@given(data=st.binary(max_size=MAX_HELLO_BYTES))
def test_any_bytes_are_a_hello_or_break_the_protocol(data: bytes) -> None:
    try:
        hello = decode_hello(data)
    except RemoteProtocolError:
        return
    assert decode_hello(encode_hello(hello)[1:]) == hello


@pytest.mark.parametrize(
    "hello",
    [
        Dial("p" * 65, "tls"),
        Dial("p\0q", "tls"),
        Dial(ANN, "shell"),  # type: ignore[arg-type]
        Take(b"short"),
        Take(b"t" * (TICKET_BYTES + 1)),
    ],
)
def test_a_hello_over_its_bounds_is_refused(hello: Hello) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_hello(encode_hello(hello)[1:])


@pytest.mark.parametrize("data", [b"", b"\x09", b"\0\0"])
def test_what_is_no_verdict_breaks_the_protocol(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_verdict(data)


def test_every_refusal_has_its_words() -> None:
    assert {*REASONS, Verdict.WELCOME} == set(Verdict)
    assert [decode_verdict(bytes([verdict])) for verdict in Verdict] == list(Verdict)


# --- proxies ----------------------------------------------------------------------------------


def test_a_proxy_is_read_from_its_url() -> None:
    assert parse_proxy("http://proxy.example:3128") == Proxy("proxy.example", 3128)
    assert parse_proxy("http://proxy.example/") == Proxy("proxy.example", 80)
    assert parse_proxy("http://ann:p%40ss@[2001:db8::1]:8080") == Proxy(
        "2001:db8::1", 8080, "ann:p@ss"
    )


@pytest.mark.parametrize(
    "text",
    ["", "proxy.example:3128", "https://ann:geheim@p:1", "http://:1", "http://p:99999", "http://["],
)
def test_other_urls_are_refused_without_repeating_them(text: str) -> None:
    with pytest.raises(SchemaError) as refused:
        parse_proxy(text)
    assert "geheim" not in str(refused.value)


def test_a_tunnel_is_asked_for_like_this() -> None:
    assert encode_connect(Proxy("p", 1), "relay.example", 443) == (
        b"CONNECT relay.example:443 HTTP/1.1\r\nHost: relay.example:443\r\n\r\n"
    )
    assert b"CONNECT [2001:db8::7]:443 " in encode_connect(Proxy("p", 1), "2001:db8::7", 443)
    asked = encode_connect(Proxy("p", 1, "ann:geheim"), "r", 443)
    assert b"Proxy-Authorization: Basic YW5uOmdlaGVpbQ==\r\n" in asked
    assert "geheim" not in repr(Proxy("p", 1, "ann:geheim"))


def test_the_answer_of_a_proxy_is_told_in_its_words() -> None:
    assert decode_answer(b"HTTP/1.1 200 Connection established\r\n\r\n") == ""
    assert decode_answer(b"HTTP/1.0 407 Proxy Authentication Required\r\nA: b\r\n\r\n") == (
        "407 Proxy Authentication Required"
    )
    assert decode_answer(b"HTTP/1.1 403 a\x1b[2Jb\r\n\r\n") == "403 a?[2Jb"


@given(data=st.binary(max_size=200))
def test_any_answer_is_short_text_or_breaks_the_protocol(data: bytes) -> None:
    try:
        answer = decode_answer(data)
    except RemoteProtocolError:
        return
    assert len(answer) <= 100
    assert answer.isprintable()


# --- addresses --------------------------------------------------------------------------------


def test_an_address_by_a_relay_names_peer_and_route() -> None:
    (plain, websocket) = circuits((PLAIN, WEBSOCKET), BOB)
    assert plain == f"{PLAIN}/p2p-circuit/p2p/{BOB}"
    for text, route in (
        (plain, Route("192.0.2.7", 4002, BOB, websocket=False)),
        (websocket, Route("relay.example", 443, BOB, websocket=True)),
        (WEBSOCKET, Route("relay.example", 443, RELAY, websocket=True)),
        (PLAIN, Route("192.0.2.7", 4002)),
    ):
        peer, place = parse_address(text)
        assert peer == (route.peer or RELAY)
        assert route_of(target_of(text, peer)) == route
        if route.peer is not None:  # what the DHT passes on has lost the last part
            assert route_of(Multiaddr(f"{target_of(str(place), peer)}/p2p/{peer}"))[:3] == route[:3]


def test_an_address_of_another_peer_is_not_dialled() -> None:
    for text in (PLAIN, WEBSOCKET, *circuits((PLAIN, WEBSOCKET), BOB)):
        with pytest.raises(IdentityMismatchError):
            target_of(text, ANN)


@pytest.mark.parametrize(
    "text",
    [
        f"/ip4/192.0.2.7/tcp/4002/p2p-circuit/p2p/{BOB}",
        f"/ip4/192.0.2.7/tcp/4002/ws/p2p/{RELAY}/p2p-circuit/p2p/{BOB}",
        f"/ip4/192.0.2.7/udp/4002/quic-v1/p2p/{RELAY}/p2p-circuit/p2p/{BOB}",
        f"{PLAIN}/p2p-circuit/p2p/{BOB}/p2p-circuit/p2p/{ANN}",
        f"{PLAIN}/p2p-circuit",
        f"/p2p/{RELAY}/p2p-circuit/p2p/{BOB}",
    ],
)
def test_other_circuits_are_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text)


@given(data=st.binary(max_size=80))
def test_any_bytes_are_a_route_or_not_dialable(data: bytes) -> None:
    address = Multiaddr(data)
    if is_dialable(address):
        assert route_of(address).host


def test_a_relay_is_told_at_the_host_of_the_node_or_where_the_operator_says() -> None:
    announced = (f"/dns4/relay.example/tcp/4001/p2p/{RELAY}",)
    assert relay_addresses(RELAY, announced, port=4002, websocket_port=443) == (
        f"/dns4/relay.example/tcp/4002/p2p/{RELAY}",
        WEBSOCKET,
    )
    mapped = (*announced, "/dns4/www.relay.example/tcp/443/tls/ws")
    assert relay_addresses(RELAY, mapped, port=None, websocket_port=8443) == (
        f"/dns4/www.relay.example/tcp/443/tls/ws/p2p/{RELAY}",
    )


# --- places -----------------------------------------------------------------------------------


def link_of(peer: PeerId) -> Any:
    return SimpleNamespace(peer=peer, is_open=True)


def test_a_place_holds_as_long_as_its_link() -> None:
    places = Places(Limits(places=1))
    link = link_of(BOB)
    places.reserve(link)
    places.reserve(link)
    assert cast(Any, places.link_to(BOB)) is link
    with pytest.raises(BusyError):
        places.reserve(link_of(ANN))
    link.is_open = False
    with pytest.raises(RefusedError) as refused:
        places.link_to(BOB)
    assert refused.value.verdict is Verdict.NO_PLACE
    places.reserve(link_of(ANN))


def test_a_later_link_of_a_peer_has_its_place() -> None:
    places = Places(Limits(places=1))
    places.reserve(link_of(BOB))
    later: Link = link_of(BOB)
    places.reserve(later)
    assert places.link_to(BOB) is later


def test_a_ticket_is_good_once_and_while_somebody_waits() -> None:
    places, pipe = Places(Limits()), trio.testing.memory_stream_pair()[0]
    with places.waiting() as first, places.waiting() as second:
        assert first.ticket != second.ticket
        places.give(first.ticket, pipe)
        assert (first.pipe, second.pipe) == (pipe, None)
        for ticket in (first.ticket, bytes(TICKET_BYTES)):
            with pytest.raises(RefusedError):
                places.give(ticket, pipe)
    assert first.over.is_set()
    with pytest.raises(RefusedError):
        places.give(second.ticket, pipe)


def test_pipes_are_bounded_in_all_per_peer_and_per_origin() -> None:
    def is_full(places: Places, to: str, origin: str) -> bool:
        try:
            with places.pipe(to=to, origin=origin):
                return False
        except RefusedError as refused:
            return refused.verdict is Verdict.FULL

    places = Places(Limits(pipes=3, peer_pipes=2))
    with places.pipe(to="bob", origin="a"), places.pipe(to="bob", origin="b"):
        assert is_full(places, "bob", "c")
        assert not is_full(places, "ann", "c")
        with places.pipe(to="ann", origin="a"):
            assert is_full(places, "eve", "c")
    with places.pipe(to="ann", origin="a"), places.pipe(to="eve", origin="a"):
        assert is_full(places, "bob", "a")
        assert not is_full(places, "bob", "b")
