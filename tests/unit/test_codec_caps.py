"""Every length in a message is allowed up to its cap and refused from there on."""

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from p2pgrid.protocol import messages as m, values
from p2pgrid.protocol.arrays import MAX_DIMS, MAX_ELEMENTS
from p2pgrid.protocol.codec import MAX_BUFFERS, decode
from p2pgrid.protocol.messages import Message, Op, Operate
from p2pgrid.protocol.queries import Query
from p2pgrid.protocol.records import MAX_ARRAYS
from p2pgrid.protocol.signatures import ActorClassInfo, MethodInfo, Parameter
from tests.unit.frames import COUNTER, HEADER, KEY, OWN, body_of, is_refused, packed, whole


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


def a_call(**changes: Any) -> Message:
    return m.Invoke((msgspec.structs.replace(m.Call(OWN, OWN, "incr"), **changes),))


def an_actor(**changes: Any) -> Message:
    return m.Invoke((m.Make(OWN, "Counter", options=m.ActorOptions(**changes)),))


def a_class(**changes: Any) -> Message:
    return m.ActorFound(OWN, msgspec.structs.replace(COUNTER, **changes))


CAPS: dict[str, tuple[int, Callable[[int], Message]]] = {
    "operations": (m.MAX_OPERATIONS, lambda n: Operate((an_op(),) * n)),
    "freed objects": (2 * m.MAX_OPERATIONS, lambda n: Operate((), (OWN,) * n)),
    "name of an operation": (16, lambda n: one_op(name=name_of(n))),
    "inputs": (m.MAX_INPUTS, lambda n: one_op(inputs=(OWN,) * n)),
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
    "name of a node": (128, lambda n: m.Challenge("domain", name_of(n), bytes(16), b"", 0)),
    "nonce": (16, lambda n: m.Challenge("domain", "n", bytes(n), b"", 0)),
    "record of a node": (
        m.MAX_RECORD_BYTES,
        lambda n: m.Challenge("domain", "n", bytes(16), bytes(n), 0),
    ),
    "statement": (1024, lambda n: m.Login(bytes(n), bytes(64))),
    "signature": (64, lambda n: m.Login(b"", bytes(n))),
    "account": (128, lambda n: m.Session(name_of(n), "owner", bytes(8))),
    "prefix": (8, lambda n: m.Session("n", "owner", bytes(n))),
    "capability of a login": (4096, lambda n: m.Login(b"", bytes(64), bytes(n))),
    "capability of a session": (
        4096,
        lambda n: m.Session("n", "owner", OWN[:8], OWN[:8], bytes(n)),
    ),
    "capability of a revocation": (4096, lambda n: m.Revoke(OWN, bytes(n))),
    "name of an enrolled account": (128, lambda n: m.Enrol(name_of(n), KEY)),
    "public key": (32, lambda n: m.Enrol("n", bytes(n))),
    "name of a sign-up": (128, lambda n: m.SignUp(name_of(n), KEY, b"", bytes(64))),
    "proof of a password": (32, lambda n: m.PasswordLogin("n", bytes(n), b"", bytes(64))),
    "statement of a sign-up": (1024, lambda n: m.SignUp("n", KEY, bytes(n), bytes(64))),
    "setup token": (16, lambda n: m.Claim(bytes(n), b"", bytes(64))),
    "id of a user": (16, lambda n: m.Enrolled("n", bytes(n))),
    "name of a removed account": (128, lambda n: m.RemoveAccount(name_of(n))),
    "dataset id": (16, lambda n: a_publish(dataset_id=bytes(n))),
    "name of a dataset": (128, lambda n: a_publish(name=name_of(n))),
    "description": (16_384, lambda n: a_publish(description=name_of(n))),
    "tags": (32, lambda n: a_publish(tags=("t",) * n)),
    "tag": (100, lambda n: a_publish(tags=(name_of(n),))),
    "allowed accounts": (10_000, lambda n: a_publish(allowed=("n",) * n)),
    "allowed domains": (256, lambda n: a_publish(allowed_domains=("p",) * n)),
    "tensors": (MAX_ARRAYS, lambda n: a_publish(tensors=(m.NewTensor("t", OWN, HEADER),) * n)),
    "records of a search": (m.MAX_RECORDS, lambda n: m.Search(Query(), limit=n)),
    "records": (m.MAX_RECORDS, lambda n: m.Found((b"r",) * n)),
    "record": (m.MAX_RECORD_BYTES, lambda n: m.Found((bytes(n),))),
    "records of a join": (m.MAX_RECORDS, lambda n: m.Join(b"", (b"r",) * n)),
    "calls": (m.MAX_CALLS, lambda n: m.Invoke((m.Call(OWN, OWN, "incr"),) * n)),
    "arguments": (32, lambda n: a_call(args=(None,) * n)),
    "named arguments": (32, lambda n: a_call(kwargs={f"x{i}": None for i in range(n)})),
    "name of a method": (64, lambda n: a_call(method=name_of(n))),
    "seconds of a call": (10**9, lambda n: a_call(timeout_s=float(n))),
    "text of an argument": (values.MAX_TEXT, lambda n: a_call(args=(name_of(n),))),
    "bytes of an argument": (
        values.MAX_TEXT,
        lambda n: a_call(args=(values.BytesValue(bytes(n)),)),
    ),
    "items of a list": (
        values.MAX_ITEMS,
        lambda n: a_call(args=(values.ListValue((None,) * n),)),
    ),
    "largest int": (2**63 - 1, lambda n: a_call(args=(n,))),
    "restarts": (1000, lambda n: an_actor(max_restarts=n)),
    "processors": (10**6, lambda n: an_actor(num_cpus=float(n))),
    "memory": (2**62 - 1, lambda n: an_actor(memory=n)),
    "name of an actor": (128, lambda n: an_actor(name=name_of(n))),
    "classes": (m.MAX_CLASSES, lambda n: m.Classes((ActorClassInfo("C", (), ()),) * n)),
    "methods": (64, lambda n: a_class(methods=(MethodInfo("f", (), "int"),) * n)),
    "parameters of a method": (32, lambda n: a_class(parameters=(Parameter("x", "int"),) * n)),
    "words about a class": (2000, lambda n: a_class(doc=name_of(n))),
    "type": (200, lambda n: a_class(parameters=(Parameter("x", name_of(n)),))),
    "awaited results": (m.MAX_CALLS, lambda n: m.AwaitResults((OWN,) * n, 1, 0.0)),
    "returns": (m.MAX_CALLS, lambda n: m.AwaitResults((OWN,), n, 0.0)),
    "seconds of a wait": (int(m.MAX_WAIT_S), lambda n: m.TakeResults((OWN,), float(n))),
    "outcomes": (m.MAX_CALLS, lambda n: m.Results((m.Outcome(),) * n)),
    "capability": (
        m.MAX_CAPABILITY_BYTES,
        lambda n: m.MoveObject(OWN, "12D3", (), bytes(n), OWN),
    ),
    "addresses of a move": (16, lambda n: m.MoveObject(OWN, "12D3", ("a",) * n, b"", OWN)),
    "parts of a dataset": (
        m.MAX_PARTS,
        lambda n: a_publish(parts=(m.NewPart("owners", OWN, HEADER),) * n),
    ),
    "name of a column": (
        128,
        lambda n: a_publish(tensors=(m.NewTensor("t", OWN, HEADER, column=name_of(n)),)),
    ),
    "metadata": (32, lambda n: a_publish(metadata={str(i): i for i in range(n)})),
    "parts that are told": (m.MAX_PARTS, lambda n: m.Parts((m.Part("raw", OWN, HEADER),) * n)),
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
    "short proof": m.SignUp("n", bytes(31), b"", bytes(64)),
    "nameless password": m.PasswordLogin("", KEY, b"", bytes(64)),
    "short setup token": m.Claim(bytes(15), b"", bytes(64)),
    "short signature": m.Login(b"", bytes(63)),
    "short nonce": m.Challenge("domain", "n", bytes(15), b"", 0),
    "short prefix": m.Session("n", "owner", bytes(7)),
    "negative dimension": literal(shape=(-1,)),
    "nameless method": a_call(method=""),
    "seconds that are no number": a_call(timeout_s=math.nan),
    "method that ends in a newline": a_call(method="incr\n"),
    "private method": a_call(method="_incr"),
    "wait for nothing": m.AwaitResults((), 1, 0.0),
    "negative processors": an_actor(num_cpus=-1.0),
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
