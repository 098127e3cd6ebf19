"""Whatever bytes come in, decoding gives an envelope or raises ``RemoteProtocolError``."""

import struct
import tracemalloc
from collections.abc import Callable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from msgspec import Meta

from p2pgrid.errors import RemoteProtocolError, TooLargeError
from p2pgrid.protocol import messages as m
from p2pgrid.protocol.arrays import MAX_DIMS, MAX_ELEMENTS, ArrayHeader
from p2pgrid.protocol.codec import (
    MAX_BUFFERS,
    MAX_HEADER,
    Envelope,
    Frame,
    Kind,
    decode,
    encode,
    frame_size,
)
from p2pgrid.protocol.messages import Message, Op, Operate, Slice

LIMIT = 1 << 30
MIB = 1 << 20
TYPES: tuple[type[Any], ...] = get_args(Message)
OWN = b"sessionprefix" + bytes(3)
KEY = bytes(range(32))
HEADER = ArrayHeader("float32", (1, 2), 0)

Golden = tuple[Kind, Message | None, bytes, str]

#: One frame of every message: what it is, the bytes of its one array, and the whole frame in hex.
#: A change here is a change of the wire: it needs a new ``WIRE_VERSION``.
GOLDEN: dict[str, Golden] = {
    "begin": (
        Kind.REQUEST,
        m.Begin(),
        b"",
        "1d0000001900000094000782a474797065a5626567696ea776657273696f6e0190",
    ),
    "challenge": (
        Kind.ANSWER,
        m.Challenge("domain", "clinic", OWN, b"record"),
        b"",
        "570000005300000094010785a474797065a96368616c6c656e6765a46b696e64a6646f6d61696ea4"
        "6e616d65a6636c696e6963a56e6f6e6365c41073657373696f6e707265666978000000a67265636f"
        "7264c4067265636f726490",
    ),
    "login": (
        Kind.REQUEST,
        m.Login(b"statement", KEY + KEY),
        b"",
        "750000007100000094000783a474797065a56c6f67696ea973746174656d656e74c4097374617465"
        "6d656e74a97369676e6174757265c440000102030405060708090a0b0c0d0e0f1011121314151617"
        "18191a1b1c1d1e1f000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        "90",
    ),
    "session": (
        Kind.ANSWER,
        m.Session("ann", "scientist", OWN[:8]),
        b"",
        "420000003e00000094010784a474797065a773657373696f6ea76163636f756e74a3616e6ea4726f"
        "6c65a9736369656e74697374a6707265666978c40873657373696f6e7090",
    ),
    "enrol": (
        Kind.REQUEST,
        m.Enrol("ann", KEY, "owner"),
        b"",
        "550000005100000094000784a474797065a5656e726f6ca46e616d65a3616e6eaa7075626c69635f"
        "6b6579c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fa4726f"
        "6c65a56f776e657290",
    ),
    "account": (
        Kind.ANSWER,
        m.Account("ann", KEY, "scientist"),
        b"",
        "5b0000005700000094010784a474797065a76163636f756e74a46e616d65a3616e6eaa7075626c69"
        "635f6b6579c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fa4"
        "726f6c65a9736369656e7469737490",
    ),
    "list-accounts": (
        Kind.REQUEST,
        m.ListAccounts(),
        b"",
        "1c0000001800000094000781a474797065ad6c6973742d6163636f756e747390",
    ),
    "accounts": (
        Kind.ANSWER,
        m.Accounts((m.Account("ann", KEY, "scientist"),)),
        b"",
        "740000007000000094010782a474797065a86163636f756e7473a86163636f756e74739184a47479"
        "7065a76163636f756e74a46e616d65a3616e6eaa7075626c69635f6b6579c4200001020304050607"
        "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fa4726f6c65a9736369656e7469737490",
    ),
    "publish": (
        Kind.REQUEST,
        m.Publish(
            *(OWN, "heart", "mmHg", ("#bp",), ("ann",), True),
            (m.NewTensor("values", OWN, HEADER),),
        ),
        b"\0\0\x80?\0\0\0@",
        "d9000000cd00000094000788a474797065a77075626c697368aa646174617365745f6964c4107365"
        "7373696f6e707265666978000000a46e616d65a56865617274ab6465736372697074696f6ea46d6d"
        "4867a47461677391a3236270a7616c6c6f77656491a3616e6ea8616e6e6f756e6365c3a774656e73"
        "6f72739185a474797065aa6e65772d74656e736f72a46e616d65a676616c756573a96f626a656374"
        "5f6964c41073657373696f6e707265666978000000a668656164657293a7666c6f61743332920102"
        "00a875706c6f61646564c291080000803f00000040",
    ),
    "published": (
        Kind.ANSWER,
        m.Published(b"record"),
        b"",
        "270000002300000094010782a474797065a97075626c6973686564a67265636f7264c4067265636f726490",
    ),
    "list-datasets": (
        Kind.REQUEST,
        m.ListDatasets(("#bp",)),
        b"",
        "260000002200000094000782a474797065ad6c6973742d6461746173657473a47461677391a323627090",
    ),
    "search": (
        Kind.REQUEST,
        m.Search(("#bp",)),
        b"",
        "1f0000001b00000094000782a474797065a6736561726368a47461677391a323627090",
    ),
    "found": (
        Kind.ANSWER,
        m.Found((b"record",), partial=True),
        b"",
        "2e0000002a00000094010783a474797065a5666f756e64a77265636f72647391c4067265636f7264"
        "a77061727469616cc390",
    ),
    "join": (
        Kind.REQUEST,
        m.Join(b"node", (b"record",)),
        b"",
        "300000002c00000094000783a474797065a46a6f696ea46e6f6465c4046e6f6465a8646174617365"
        "747391c4067265636f726490",
    ),
    "operate": (
        Kind.REQUEST,
        Operate(
            (
                Op("add", OWN, (OWN, HEADER)),
                Op("mul", OWN, (OWN, -2)),
                Op("truediv", OWN, (1.5, OWN)),
                Op("sub", OWN, (True, OWN)),
                Op("sum", OWN, (OWN,), (None, True)),
                Op("getitem", OWN, (OWN,), (0, Slice(1, None, 2), "...", None, (3, 4), 0.5)),
            ),
            free=(OWN,),
        ),
        b"\0\0\x80?\0\0\0@",
        "860100007a01000094000783a474797065a76f706572617465a36f70739694a3616464c410736573"
        "73696f6e70726566697800000092c41073657373696f6e70726566697800000093a7666c6f617433"
        "32920102009094a36d756cc41073657373696f6e70726566697800000092c41073657373696f6e70"
        "7265666978000000fe9094a774727565646976c41073657373696f6e70726566697800000092cb3f"
        "f8000000000000c41073657373696f6e7072656669780000009094a3737562c41073657373696f6e"
        "70726566697800000092c3c41073657373696f6e7072656669780000009094a373756dc410736573"
        "73696f6e70726566697800000091c41073657373696f6e70726566697800000092c0c394a7676574"
        "6974656dc41073657373696f6e70726566697800000091c41073657373696f6e7072656669780000"
        "00960083a5737461727401a473746f70c0a47374657002a32e2e2ec0920304cb3fe0000000000000"
        "a46672656591c41073657373696f6e70726566697800000091080000803f00000040",
    ),
    "operated": (
        Kind.ANSWER,
        m.Operated((m.FailedOp(OWN, m.Failure(601, {"operation": "cos"})),)),
        b"",
        "790000007500000094010782a474797065a86f70657261746564a66661696c65649183a474797065"
        "a96661696c65642d6f70a36f7574c41073657373696f6e707265666978000000a76661696c757265"
        "83a474797065a76661696c757265a4636f6465cd0259a66669656c647381a96f7065726174696f6e"
        "a3636f7390",
    ),
    "get": (
        Kind.REQUEST,
        m.Get(OWN, "ann"),
        b"",
        "3a0000003600000094000783a474797065a3676574a96f626a6563745f6964c41073657373696f6e"
        "707265666978000000a76163636f756e74a3616e6e90",
    ),
    "value": (
        Kind.ANSWER,
        m.Value(HEADER),
        b"\0\0\x80?\0\0\0@",
        "310000002500000094010782a474797065a576616c7565a668656164657293a7666c6f6174333292"
        "01020091080000803f00000040",
    ),
    "open-upload": (
        Kind.REQUEST,
        m.OpenUpload(OWN, "float32", (1, 2)),
        b"",
        "4d0000004900000094000784a474797065ab6f70656e2d75706c6f6164a96f626a6563745f6964c4"
        "1073657373696f6e707265666978000000a56474797065a7666c6f61743332a57368617065920102"
        "90",
    ),
    "open-download": (
        Kind.REQUEST,
        m.OpenDownload(OWN, OWN, "ann", 1 << 40),
        b"",
        "720000006e00000094000785a474797065ad6f70656e2d646f776e6c6f6164ab7472616e73666572"
        "5f6964c41073657373696f6e707265666978000000a96f626a6563745f6964c41073657373696f6e"
        "707265666978000000a76163636f756e74a3616e6ea66f6666736574cf000001000000000090",
    ),
    "opened": (
        Kind.ANSWER,
        m.Opened(1 << 41, 1 << 40, m.Ticket(4001, KEY, KEY)),
        b"",
        "990000009500000094010784a474797065a66f70656e6564a473697a65cf0000020000000000a66f"
        "6666736574cf0000010000000000a67469636b657483a4706f7274cd0fa1ab66696e676572707269"
        "6e74c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fa5746f6b"
        "656ec420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f90",
    ),
    "send-chunk": (
        Kind.REQUEST,
        m.SendChunk(OWN, 1 << 40, KEY[:8]),
        b"\0\0\x80?\0\0\0@",
        "610000005500000094000784a474797065aa73656e642d6368756e6bab7472616e736665725f6964"
        "c41073657373696f6e707265666978000000a66f6666736574cf0000010000000000a66469676573"
        "74c408000102030405060791080000803f00000040",
    ),
    "durable": (
        Kind.ANSWER,
        m.Durable(1 << 40),
        b"",
        "260000002200000094010782a474797065a764757261626c65a66f6666736574cf000001000000000090",
    ),
    "fetch-chunk": (
        Kind.REQUEST,
        m.FetchChunk(OWN, 1 << 40),
        b"",
        "480000004400000094000783a474797065ab66657463682d6368756e6bab7472616e736665725f69"
        "64c41073657373696f6e707265666978000000a66f6666736574cf000001000000000090",
    ),
    "chunk": (
        Kind.ANSWER,
        m.Chunk(1 << 40, KEY[:8]),
        b"\0\0\x80?\0\0\0@",
        "3e0000003200000094010783a474797065a56368756e6ba66f6666736574cf0000010000000000a6"
        "646967657374c408000102030405060791080000803f00000040",
    ),
    "close-transfer": (
        Kind.REQUEST,
        m.CloseTransfer(OWN),
        b"",
        "3b0000003700000094000782a474797065ae636c6f73652d7472616e73666572ab7472616e736665"
        "725f6964c41073657373696f6e70726566697800000090",
    ),
    "done": (
        Kind.ANSWER,
        m.Done(),
        b"",
        "130000000f00000094010781a474797065a4646f6e6590",
    ),
    "failure": (
        Kind.ANSWER,
        m.Failure(404, {"what": "x", "size": 3, "limit": 2.5}),
        b"",
        "420000003e00000094010783a474797065a76661696c757265a4636f6465cd0194a66669656c6473"
        "83a477686174a178a473697a6503a56c696d6974cb400400000000000090",
    ),
    "ping": (
        Kind.PING,
        None,
        b"",
        "0900000005000000940207c090",
    ),
}

EVERY_FRAME = [pytest.param(bytes.fromhex(case[3]), id=name) for name, case in GOLDEN.items()]


def whole(
    message: Message | None,
    *buffers: bytes,
    kind: Kind = Kind.REQUEST,
    request: int = 7,
    limit: int = LIMIT,
) -> bytes:
    return b"".join(encode(kind, request, message, buffers, limit=limit))


def body_of(header: bytes, *, claimed: int | None = None, rest: bytes = b"") -> bytes:
    """A frame without its size prefix, around any header."""
    return struct.pack("<I", len(header) if claimed is None else claimed) + header + rest


def packed(*fields: object) -> bytes:
    """A body whose header is this MessagePack array."""
    return body_of(msgspec.msgpack.encode(fields))


def is_refused(body: bytes) -> bool:
    """True when a body is refused, False when it is a frame; anything else is an error."""
    try:
        frame = decode(body)
    except RemoteProtocolError:
        return True
    assert isinstance(frame.envelope, Envelope)
    assert frame.envelope.message is None or isinstance(frame.envelope.message, TYPES)
    assert sum(map(len, frame.buffers)) == sum(frame.envelope.buffer_sizes)
    return False


# --- golden bytes -----------------------------------------------------------------------------


def test_every_message_has_golden_bytes() -> None:
    assert {type(case[1]) for case in GOLDEN.values()} == {*TYPES, NoneType}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_message_is_written_as_the_golden_bytes(name: str) -> None:
    kind, message, array, golden = GOLDEN[name]
    buffers = (array,) if array else ()
    assert whole(message, *buffers, kind=kind).hex() == golden


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_bytes_are_read_as_the_message(name: str) -> None:
    kind, message, array, golden = GOLDEN[name]
    raw = bytes.fromhex(golden)
    assert frame_size(raw[:4], limit=LIMIT) == len(raw) - 4
    frame = decode(raw[4:])
    assert frame.envelope == Envelope(kind, 7, message, (len(array),) if array else ())
    assert frame.buffers == ((array,) if array else ())


def test_a_frame_is_laid_out_as_the_module_says() -> None:
    header = b"\x94\x00\x07\x81\xa4type\xa4done\x92\x02\x03"
    expected = struct.pack("<II", 4 + len(header) + 5, len(header)) + header + b"abcde"
    assert whole(m.Done(), b"ab", b"cde") == expected


# --- round trips ------------------------------------------------------------------------------


def strategy_of(kind: Any, meta: Meta | None = None) -> st.SearchStrategy[Any]:
    """Values that an annotation of ``messages.py`` allows."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return strategy_of(args[0], args[1])
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (Union, UnionType):
        return st.one_of([strategy_of(arg) for arg in args])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        return st.builds(kind, **{field.name: strategy_of(field.type) for field in fields})
    return _plain(origin or kind, args, meta or Meta())


def _plain(kind: Any, args: tuple[Any, ...], meta: Meta) -> st.SearchStrategy[Any]:
    shortest, longest = meta.min_length or 0, meta.max_length or 64
    if kind is tuple:
        items = st.lists(strategy_of(args[0]), min_size=shortest, max_size=min(longest, 4))
        return items.map(tuple)
    if kind is dict:
        return st.dictionaries(*map(strategy_of, args), min_size=shortest, max_size=longest)
    if kind is bytes:
        return st.binary(min_size=shortest, max_size=min(longest, 64 + shortest))
    if kind is str:
        return st.text(min_size=shortest, max_size=min(longest, 64))
    if kind is int:
        top = meta.le if meta.le is not None else (2**64 if meta.lt is None else meta.lt) - 1
        return st.integers(-(2**63) if meta.ge is None else int(meta.ge), int(top))
    return {float: st.floats(), bool: st.booleans(), NoneType: st.none()}[kind]


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
@settings(max_examples=settings().max_examples // 4)  # of each of thirty messages
@given(data=st.data())
def test_what_is_read_is_what_was_written(kind: type[Any], data: st.DataObject) -> None:
    message = data.draw(strategy_of(kind))
    request = data.draw(st.integers(0, 2**62 - 1))
    buffers = data.draw(st.lists(st.binary(max_size=9), max_size=4))
    raw = whole(message, *buffers, kind=data.draw(st.sampled_from(Kind)), request=request)
    frame = decode(raw[4:])
    assert (type(frame.envelope.message), frame.envelope.request) == (kind, request)
    assert [bytes(buffer) for buffer in frame.buffers] == buffers
    # Bytes tell 1 from 1.0 and from True, and NaN from nothing at all.
    assert whole(frame.envelope.message, *buffers, kind=frame.envelope.kind, request=request) == raw


def test_buffers_are_views_of_what_came() -> None:
    body = bytearray(whole(m.Done(), b"ab", b"", b"cde")[4:])
    frame = decode(memoryview(body))
    assert [bytes(buffer) for buffer in frame.buffers] == [b"ab", b"", b"cde"]
    body[-1] = ord("x")
    assert bytes(frame.buffers[2]) == b"cdx"


# --- hostile bytes ----------------------------------------------------------------------------


@pytest.mark.parametrize("golden", EVERY_FRAME)
def test_a_frame_cut_short_anywhere_is_refused(golden: bytes) -> None:
    assert all(is_refused(golden[4:end]) for end in range(4, len(golden)))


@pytest.mark.parametrize("golden", EVERY_FRAME)
def test_a_longer_frame_is_refused(golden: bytes) -> None:
    assert is_refused(golden[4:] + b"\0")


@pytest.mark.parametrize("golden", EVERY_FRAME)
def test_a_flipped_bit_gives_another_frame_or_is_refused(golden: bytes) -> None:
    refused = 0
    for bit in range(8 * 4, 8 * len(golden)):
        broken = bytearray(golden)
        broken[bit // 8] ^= 1 << bit % 8
        refused += is_refused(bytes(broken[4:]))
    assert refused


@given(body=st.binary(max_size=100))
def test_any_bytes_are_a_frame_or_refused(body: bytes) -> None:
    is_refused(body)
    is_refused(body_of(body))
    is_refused(body_of(b"\x93\x00\x01" + body))


@given(
    golden=st.sampled_from([bytes.fromhex(case[3]) for case in GOLDEN.values()]),
    at=st.floats(0, 1),
    drop=st.integers(0, 8),
    put=st.binary(max_size=8),
)
def test_a_frame_with_other_bytes_inside_is_a_frame_or_refused(
    golden: bytes, at: float, drop: int, put: bytes
) -> None:
    start = 8 + int(at * (len(golden) - 8))
    is_refused(body_of(golden[8:start] + put + golden[start + drop :]))


NESTS = {"arrays": b"\x91", "maps": b"\x81\xa1x", "keys": b"\x81", "mixed": b"\x91\x81\xa1x"}
PLACES = {
    "the header": b"",
    "the message": b"\x93\x00\x01",
    "an unknown field": b"\x93\x00\x01\x82\xa1x",
    "a known field": b"\x93\x00\x01\x82\xa4type\xa7operate\xa3ops",
    "a field before the tag": b"\x93\x00\x01\x82\xa3ops",
    "a parameter": b"\x93\x00\x01\x82\xa4type\xa7operate\xa3ops\x91\x94\xa3add\xc4\x10"
    + bytes(16)
    + b"\x90\x91",
}


@pytest.mark.parametrize("nest", NESTS)
@pytest.mark.parametrize("place", PLACES)
def test_a_hundred_thousand_nested_values_are_refused(place: str, nest: str) -> None:
    deep = PLACES[place] + NESTS[nest] * 100_000
    assert is_refused(body_of(deep + b"\xc0"))
    assert is_refused(body_of(deep + b"\xc0\xa4type\xa4done"))


CLAIMS = {
    "array32": b"\xdd\xff\xff\xff\xff",
    "map32": b"\xdf\xff\xff\xff\xff",
    "bin32": b"\xc6\xff\xff\xff\xff",
    "str32": b"\xdb\xff\xff\xff\xff",
    "ext32": b"\xc9\xff\xff\xff\xff\x01",
}


@pytest.fixture
def memory() -> Iterator[Callable[[], int]]:
    """Says how many bytes were taken at most since the start of the test."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    yield lambda: tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("golden", EVERY_FRAME)
def test_a_huge_claim_anywhere_is_refused_and_takes_no_memory(
    golden: bytes, claim: str, memory: Callable[[], int]
) -> None:
    header = golden[8:]
    for start in range(len(header)):
        assert is_refused(body_of(header[:start] + CLAIMS[claim] + header[start + 1 :]))
        assert is_refused(body_of(header[:start] + CLAIMS[claim]))
    assert memory() < 8 * MIB


@pytest.mark.parametrize("claimed", [1, MAX_HEADER, MAX_HEADER + 1, 4_000_000_000, 2**32 - 1])
def test_a_header_size_that_is_not_there_is_refused(
    claimed: int, memory: Callable[[], int]
) -> None:
    with pytest.raises(RemoteProtocolError, match=f"{claimed:,}"):
        decode(body_of(b"", claimed=claimed))
    assert memory() < 8 * MIB


def test_a_header_over_its_limit_is_refused_even_when_it_came() -> None:
    accounts = m.Accounts((m.Account("n" * 128, KEY, "owner"),) * 10_000)
    header = msgspec.msgpack.encode(Envelope(Kind.ANSWER, 1, accounts))
    with pytest.raises(RemoteProtocolError, match=f"claims {len(header):,} of"):
        decode(body_of(header))


@pytest.mark.parametrize("size", range(4))
def test_a_frame_too_short_for_a_header_is_refused(size: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"{size} bytes"):
        decode(bytes(size))


@pytest.mark.parametrize("sizes", [(1,), (2**32 - 1,), (2**32 - 1,) * MAX_BUFFERS, (3, 1)])
def test_buffers_that_were_announced_have_to_come(
    sizes: tuple[int, ...], memory: Callable[[], int]
) -> None:
    header = msgspec.msgpack.encode(Envelope(Kind.REQUEST, 1, None, sizes))
    with pytest.raises(RemoteProtocolError, match="announced"):
        decode(body_of(header, rest=b"abc" if sum(sizes) != 3 else b""))
    assert memory() < 8 * MIB


# --- caps -------------------------------------------------------------------------------------


def name_of(length: int) -> str:
    return "n" * length


def an_op(**changes: Any) -> Op:
    return msgspec.structs.replace(Op("add", OWN, (OWN, 1)), **changes)


def one_op(**changes: Any) -> Message:
    return Operate((an_op(**changes),))


def a_publish(**changes: Any) -> Message:
    tensor = m.NewTensor("t", OWN, HEADER)
    return msgspec.structs.replace(m.Publish(OWN, "n", "", (), (), False, (tensor,)), **changes)


def literal(**changes: Any) -> Message:
    return one_op(inputs=(OWN, msgspec.structs.replace(HEADER, **changes)))


CAPS: dict[str, tuple[int, Callable[[int], Message]]] = {
    "operations": (m.MAX_OPERATIONS, lambda n: Operate((an_op(),) * n)),
    "freed objects": (2 * m.MAX_OPERATIONS, lambda n: Operate((), (OWN,) * n)),
    "name of an operation": (16, lambda n: one_op(name=name_of(n))),
    "inputs": (8, lambda n: one_op(inputs=(OWN,) * n)),
    "parameters": (64, lambda n: one_op(params=(None,) * n)),
    "text parameter": (16, lambda n: one_op(params=(name_of(n),))),
    "tuple parameter": (32, lambda n: one_op(params=((0,) * n,))),
    "id of a result": (16, lambda n: one_op(out=bytes(n))),
    "id of an operand": (16, lambda n: one_op(inputs=(bytes(n),))),
    "id that is freed": (16, lambda n: Operate((), (bytes(n),))),
    "id that is got": (16, lambda n: m.Get(bytes(n))),
    "account of a get": (128, lambda n: m.Get(OWN, name_of(n))),
    "dimensions": (MAX_DIMS, lambda n: literal(shape=(1,) * n)),
    "dimension": (MAX_ELEMENTS, lambda n: literal(shape=(n,))),
    "buffer number": (MAX_BUFFERS - 1, lambda n: literal(buffer=n)),
    "name of a dtype": (8, lambda n: literal(dtype=name_of(n))),
    "failed operations": (
        m.MAX_OPERATIONS,
        lambda n: m.Operated((m.FailedOp(OWN, m.Failure(900, {})),) * n),
    ),
    "fields of a failure": (8, lambda n: m.Failure(1, {str(i): i for i in range(n)})),
    "name of a failure's field": (32, lambda n: m.Failure(1, {name_of(n): 1})),
    "text of a failure": (400, lambda n: m.Failure(1, {"x": name_of(n)})),
    "name of a node": (128, lambda n: m.Challenge("domain", name_of(n), bytes(16), b"")),
    "nonce": (16, lambda n: m.Challenge("domain", "n", bytes(n), b"")),
    "record of a node": (
        m.MAX_RECORD_BYTES,
        lambda n: m.Challenge("domain", "n", bytes(16), bytes(n)),
    ),
    "statement": (1024, lambda n: m.Login(bytes(n), bytes(64))),
    "signature": (64, lambda n: m.Login(b"", bytes(n))),
    "account": (128, lambda n: m.Session(name_of(n), "owner", bytes(8))),
    "prefix": (8, lambda n: m.Session("n", "owner", bytes(n))),
    "name of an enrolled account": (128, lambda n: m.Enrol(name_of(n), KEY)),
    "public key": (32, lambda n: m.Enrol("n", bytes(n))),
    "dataset id": (16, lambda n: a_publish(dataset_id=bytes(n))),
    "name of a dataset": (128, lambda n: a_publish(name=name_of(n))),
    "description": (16_384, lambda n: a_publish(description=name_of(n))),
    "tags": (32, lambda n: a_publish(tags=("t",) * n)),
    "tag": (100, lambda n: a_publish(tags=(name_of(n),))),
    "allowed accounts": (10_000, lambda n: a_publish(allowed=("n",) * n)),
    "tensors": (256, lambda n: a_publish(tensors=(m.NewTensor("t", OWN, HEADER),) * n)),
    "tags of a search": (32, lambda n: m.Search(("t",) * n)),
    "tags of a list": (32, lambda n: m.ListDatasets(("t",) * n)),
    "records": (m.MAX_RECORDS, lambda n: m.Found((b"r",) * n)),
    "record": (m.MAX_RECORD_BYTES, lambda n: m.Found((bytes(n),))),
    "records of a join": (m.MAX_RECORDS, lambda n: m.Join(b"", (b"r",) * n)),
    "id of an upload": (16, lambda n: m.OpenUpload(bytes(n), "bool", ())),
    "dimensions of an upload": (MAX_DIMS, lambda n: m.OpenUpload(OWN, "bool", (1,) * n)),
    "dtype of an upload": (8, lambda n: m.OpenUpload(OWN, name_of(n), ())),
    "id of a download": (16, lambda n: m.OpenDownload(bytes(n), OWN)),
    "account of a download": (128, lambda n: m.OpenDownload(OWN, OWN, name_of(n))),
    "offset of a download": ((1 << 62) - 1, lambda n: m.OpenDownload(OWN, OWN, "", n)),
    "size of a transfer": ((1 << 62) - 1, lambda n: m.Opened(n, 0)),
    "port of a ticket": (65_535, lambda n: m.Opened(1, 0, m.Ticket(n, KEY, KEY))),
    "fingerprint of a ticket": (32, lambda n: m.Opened(1, 0, m.Ticket(1, bytes(n), KEY))),
    "token of a ticket": (32, lambda n: m.Opened(1, 0, m.Ticket(1, KEY, bytes(n)))),
    "digest of a chunk": (8, lambda n: m.SendChunk(OWN, 0, bytes(n))),
    "published record": (m.MAX_RECORD_BYTES, lambda n: m.Published(bytes(n))),
}


@pytest.mark.parametrize("name", CAPS)
def test_a_length_is_allowed_up_to_its_cap_and_refused_from_there(name: str) -> None:
    cap, make = CAPS[name]
    assert decode(whole(make(cap))[4:]).envelope.message == make(cap)
    assert is_refused(whole(make(cap + 1))[4:])


TOO_LITTLE: dict[str, Message] = {
    "id of 15 bytes": one_op(out=bytes(15)),
    "operand of 15 bytes": one_op(inputs=(bytes(15),)),
    "get of 15 bytes": m.Get(bytes(15)),
    "nameless account": m.Enrol("", KEY),
    "nameless dataset": a_publish(name=""),
    "dataset without tensors": a_publish(tensors=()),
    "short key": m.Enrol("n", bytes(31)),
    "short signature": m.Login(b"", bytes(63)),
    "short nonce": m.Challenge("domain", "n", bytes(15), b""),
    "short prefix": m.Session("n", "owner", bytes(7)),
    "port 0": m.Opened(1, 0, m.Ticket(0, KEY, KEY)),
    "short fingerprint": m.Opened(1, 0, m.Ticket(1, bytes(31), KEY)),
    "short token": m.Opened(1, 0, m.Ticket(1, KEY, bytes(31))),
    "short digest": m.Chunk(0, bytes(7)),
    "negative offset": m.FetchChunk(OWN, -1),
    "negative dimension": literal(shape=(-1,)),
    "negative buffer": literal(buffer=-1),
}


@pytest.mark.parametrize("name", TOO_LITTLE)
def test_a_value_below_its_least_is_refused(name: str) -> None:
    assert is_refused(whole(TOO_LITTLE[name])[4:])


ID = bytes(16)
EXT = msgspec.msgpack.Ext(1, b"x")
BAD_HEADERS: dict[str, tuple[object, ...]] = {
    "unknown tag": (0, 1, {"type": "run"}),
    "no tag": (0, 1, {"object_id": ID}),
    "tag that is no text": (0, 1, {"type": 7}),
    "unknown field": (0, 1, {"type": "done", "more": 1}),
    "missing field": (0, 1, {"type": "get"}),
    "field of another type": (0, 1, {"type": "get", "object_id": "x" * 16}),
    "number as text": (0, 1, {"type": "begin", "version": "1"}),
    "number as float": (0, 1, {"type": "begin", "version": 1.5}),
    "unknown role": (0, 1, {"type": "enrol", "name": "n", "public_key": KEY, "role": "root"}),
    "unknown kind of node": (
        *(0, 1),
        {"type": "challenge", "kind": "moon", "name": "n", "nonce": ID, "record": b""},
    ),
    "unknown kind of frame": (3, 1, None),
    "kind as text": ("0", 1, None),
    "negative request": (0, -1, None),
    "request over its limit": (0, 2**62, None),
    "request as truth value": (0, True, None),
    "too few fields": (0, 1),
    "too many fields": (0, 1, None, (), ()),
    "message as array": (0, 1, ["done"]),
    "message as ext": (0, 1, EXT),
    "header of ext": (EXT, EXT, EXT),
    "operand as ext": (0, 1, {"type": "operate", "ops": [["add", ID, [EXT], []]]}),
    "parameter as ext": (0, 1, {"type": "operate", "ops": [["add", ID, [], [EXT]]]}),
    "operation with too few fields": (0, 1, {"type": "operate", "ops": [["add", ID]]}),
    "operation with too many fields": (0, 1, {"type": "operate", "ops": [["add", ID, [], [], 0]]}),
    "operation as map": (0, 1, {"type": "operate", "ops": [{"name": "add"}]}),
    "slice with more": (0, 1, {"type": "operate", "ops": [["add", ID, [], [{"by": 1}]]]}),
    "slice of floats": (0, 1, {"type": "operate", "ops": [["add", ID, [], [{"start": 1.5}]]]}),
    "operand as null": (0, 1, {"type": "operate", "ops": [["add", ID, [None], []]]}),
    "operand as map": (0, 1, {"type": "operate", "ops": [["add", ID, [{}], []]]}),
    "tuple of floats": (0, 1, {"type": "operate", "ops": [["sum", ID, [], [[1.5]]]]}),
    "failure with bytes": (1, 1, {"type": "failure", "code": 1, "fields": {"x": b"y"}}),
    "failure with list": (1, 1, {"type": "failure", "code": 1, "fields": {"x": [1]}}),
    "time": (0, 1, {"type": "begin", "version": msgspec.msgpack.Ext(-1, bytes(4))}),
    "too many buffers": (0, 1, None, (0,) * (MAX_BUFFERS + 1)),
    "buffer over its limit": (0, 1, None, (2**32,)),
    "negative buffer": (0, 1, None, (-1,)),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_a_header_that_is_no_message_is_refused(name: str) -> None:
    assert is_refused(packed(*BAD_HEADERS[name]))


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc1", id="a byte that is never used"),
        pytest.param(b"\x93\x00\x01\xc0\x00", id="bytes after the header"),
        pytest.param(b"\x93\x00\x01\x81\xa4type\xa4\xff\xff\xff\xff", id="a tag that is not UTF-8"),
        pytest.param(
            b"\x93\x00\x01\x82\xa4type\xa3get\xa9object_id\xd9\x02\xff\xff", id="a bad text"
        ),
        pytest.param(b"\x93\x00\x01\x81\xa2\xff\xff\xa4done", id="a key that is not UTF-8"),
        pytest.param(b"\x93\x00\xcf" + b"\xff" * 8 + b"\xc0", id="a request of 64 bits"),
    ],
)
def test_a_header_of_broken_messagepack_is_refused(header: bytes) -> None:
    assert is_refused(body_of(header))


# --- sizes ------------------------------------------------------------------------------------


def test_a_frame_of_exactly_the_limit_is_written() -> None:
    size = len(whole(m.Done(), bytes(100))) - 4
    assert len(whole(m.Done(), bytes(100), limit=size)) == size + 4


def test_a_frame_over_the_limit_is_refused_with_both_numbers() -> None:
    size = len(whole(m.Done(), bytes(2 * MIB))) - 4
    with pytest.raises(TooLargeError, match="message") as caught:
        whole(m.Done(), bytes(2 * MIB), limit=size - 1)
    assert (caught.value.size, caught.value.limit) == (size, size - 1)


def test_a_header_over_its_limit_is_refused_with_both_numbers() -> None:
    accounts = m.Accounts((m.Account("n" * 128, KEY, "owner"),) * 10_000)
    with pytest.raises(TooLargeError, match="header") as caught:
        whole(accounts)
    assert caught.value.limit == MAX_HEADER < caught.value.size < LIMIT


@given(size=st.integers(0, 2**32 - 1), limit=st.integers(4, 2**32))
def test_a_claimed_size_is_believed_only_within_the_limit(size: int, limit: int) -> None:
    prefix = struct.pack("<I", size)
    if 4 <= size <= limit:
        assert frame_size(prefix, limit=limit) == size
    else:
        with pytest.raises(RemoteProtocolError, match=f"{size:,} bytes; {limit:,}"):
            frame_size(prefix, limit=limit)


def test_a_frame_says_its_own_size() -> None:
    raw = whole(m.Done(), b"abc")
    assert frame_size(raw[:4], limit=LIMIT) == len(raw) - 4
    assert isinstance(decode(raw[4:]), Frame)


def test_a_slice_is_told_from_its_ends() -> None:
    sent = one_op(params=(Slice(), Slice(0), Slice(None, 0), Slice(1, None, -1)))
    assert decode(whole(sent)[4:]).envelope.message == sent
