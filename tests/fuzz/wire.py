"""Targets: what the protocol decodes, be it from a peer, a DHT or a registry."""

from itertools import count

import msgspec
from nacl.signing import SigningKey

from p2pgrid.config import Limits
from p2pgrid.errors import (
    ArgumentError,
    AuthenticationError,
    DtypeError,
    P2PGridError,
    RecordError,
    RemoteProtocolError,
    SchemaError,
)
from p2pgrid.ids import DatasetId, ObjectId, peer_id_of
from p2pgrid.policy.access import Label
from p2pgrid.policy.objects import PREFIX_BYTES, SessionObjects
from p2pgrid.protocol import codec, faults, signatures, values
from p2pgrid.protocol.arrays import ArrayHeader, dtype_named, read_array
from p2pgrid.protocol.messages import Classes, Failure, Invoke, Make, Op, Operate, Operated
from p2pgrid.protocol.operations import ArrayMeta
from p2pgrid.protocol.records import (
    DATASET_RECORD_BYTES,
    DOMAIN_SEPARATION,
    DatasetRecord,
    NodeRecord,
    SignedRecord,
    TensorInfo,
    normalise_tag,
    sign,
    verify,
)
from p2pgrid.protocol.signatures import ActorClassInfo, MethodInfo, Parameter
from p2pgrid.protocol.statements import LOGIN_TAG, SignedLogin, check_login, sign_login
from tests.unit.frames import GOLDEN

MIB = 1 << 20
NOW = 1_800_000_000
SEED = b"f" * 32
KEY = SigningKey(SEED)
PEER = peer_id_of(bytes(KEY.verify_key))
NONCE = bytes(16)


def frame(data: bytes) -> None:
    """Any bytes are a frame that can be written again, or ``RemoteProtocolError``."""
    try:
        codec.frame_size(data[:4].ljust(4, b"\0"), limit=MIB)
        read = codec.decode(data[4:])
    except RemoteProtocolError:
        return
    written = _written(read)
    assert _written(codec.decode(written[4:])) == written
    message = read.envelope.message
    failures = [message] if isinstance(message, Failure) else []
    if isinstance(message, Operated):
        failures = [failed.failure for failed in message.failed]
    for failure in failures:
        assert isinstance(faults.error_of(failure), P2PGridError)


def _written(read: codec.Frame) -> bytes:
    envelope = read.envelope
    chunks = codec.encode(
        envelope.kind, envelope.request, envelope.message, read.buffers, limit=1 << 30
    )
    return b"".join(chunks)


def frames() -> list[bytes]:
    """Seeds: one of every message."""
    return [bytes.fromhex(golden) for *_, golden in GOLDEN.values()]


def record(data: bytes) -> None:
    """Any bytes, signed or not, are a record, or ``RecordError``, or ``RemoteProtocolError``."""
    signature = KEY.sign(DOMAIN_SEPARATION + data).signature
    signed = SignedRecord(data, bytes(KEY.verify_key), signature)
    for encoded in (data, signed.encode()):
        try:
            body, signer = verify(encoded, now=NOW, max_bytes=DATASET_RECORD_BYTES)
        except (RecordError, RemoteProtocolError):
            continue
        assert signer == PEER
        assert sign(body, signing_key=SEED).body() == body
        for tag in body.tags if isinstance(body, DatasetRecord) else ():
            _normalised(tag)


def _normalised(tag: str) -> None:
    try:
        assert normalise_tag(normalise_tag(tag)) == normalise_tag(tag)
    except SchemaError:
        return


def records() -> list[bytes]:
    """Seeds: a record of each kind, and its payload, which the target signs."""
    address = f"/ip4/192.0.2.7/tcp/4001/p2p/{PEER}"
    node = NodeRecord("domain", "clinic", (address,), seq=7, expires=NOW + 600, datasets=1)
    tensor = TensorInfo("values", ObjectId(bytes(16)), (3, 4), "float32")
    dataset = DatasetRecord(
        domain="clinic",
        dataset_id=DatasetId(b"d" * 16),
        name="heart",
        description="mmHg",
        tags=("#bp", "tag"),
        tensors=(tensor,),
        version=1,
        seq=7,
        expires=NOW + 600,
        addresses=(address,),
    )
    both = [sign(body, signing_key=SEED) for body in (node, dataset)]
    late = b"\x82\xa4name\xa1x\xa4type\xa4node"  # a tag may come last
    return [late, *(each.payload for each in both), *(each.encode() for each in both)]


def statement(data: bytes) -> None:
    """Any bytes that a stranger signs log a key in, or raise ``AuthenticationError``."""
    signed = SignedLogin(data, KEY.sign(LOGIN_TAG + data).signature)
    try:
        public_key = check_login(signed, audience=PEER, peer=PEER, nonce=NONCE, now=NOW)
    except AuthenticationError:
        return
    assert public_key == bytes(KEY.verify_key)


def statements() -> list[bytes]:
    """Seeds: a statement that is accepted, and an old one."""
    times = (NOW, NOW - 3600)
    signed = [sign_login(SEED, audience=PEER, peer=PEER, nonce=NONCE, now=now) for now in times]
    return [each.statement for each in signed]


def array(data: bytes) -> None:
    """Any header with any buffer is an array of just that, or a typed error; nothing is copied."""
    size = data[0] if data else 0
    try:
        header = msgspec.msgpack.decode(data[1 : 1 + size], type=ArrayHeader)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return  # the codec's matter
    buffer = memoryview(data)[1 + size :]
    try:
        read = read_array(header, buffer)
    except (DtypeError, RemoteProtocolError):
        return
    assert (read.shape, read.nbytes) == (header.shape, len(buffer))
    assert not read.flags.writeable
    assert read.size == 0 or not read.flags.owndata


def arrays() -> list[bytes]:
    """Seeds: headers, each with its buffer."""
    pairs = [("float32", (2, 3)), ("bool", (5,)), ("int64", ()), ("uint8", (0, 4)), ("U9", (1,))]
    headers = [msgspec.msgpack.encode(ArrayHeader(name, shape, 0)) for name, shape in pairs]
    return [
        bytes([len(header)]) + header + bytes(size)
        for header, size in zip(headers, (24, 5, 8, 0, 36), strict=True)
    ]


PREFIX = b"p" * PREFIX_BYTES
LIMITS = Limits(session_objects=64, session_bytes=MIB)
HELD = {
    ObjectId(bytes([number]) * 16): Label(ArrayMeta(shape, dtype_named(dtype)), frozenset(), True)
    for number, (shape, dtype) in enumerate([((3, 4), "float32"), ((4,), "int64"), ((), "bool")])
}


def operate(data: bytes) -> None:
    """Any operation is admitted, refused with a public failure, or ``RemoteProtocolError``."""
    try:
        message = msgspec.msgpack.decode(data, type=Operate)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # the codec's matter
    objects = SessionObjects(PREFIX, HELD, limits=LIMITS, domain="clinic")
    for number, op in zip(count(1), message.ops, strict=False):
        try:
            failure = objects.admit(_named(op, number), [8, 16])
        except RemoteProtocolError:
            return
        if failure is not None:
            assert isinstance(faults.error_of(failure), P2PGridError)
    assert objects.held_bytes <= LIMITS.session_bytes


def _named(op: Op, number: int) -> Op:
    """The operation with a fresh name, on objects that exist: else nothing else is reached."""
    names = [*HELD, PREFIX + number.to_bytes(8)]
    inputs = tuple(
        names[operand[-1] % len(names)] if isinstance(operand, bytes) else operand
        for operand in op.inputs
    )
    return msgspec.structs.replace(op, out=PREFIX + (number + 1).to_bytes(8), inputs=inputs)


def operates() -> list[bytes]:
    """Seeds: the golden operations."""
    messages = [case[1] for case in GOLDEN.values() if isinstance(case[1], Operate)]
    return [msgspec.msgpack.encode(message) for message in messages]


CLASSES = [case[1] for case in GOLDEN.values() if isinstance(case[1], Classes)]


def invoke(data: bytes) -> None:
    """Any call fits its signature and is unpacked, or is refused with a typed error."""
    try:
        message = msgspec.msgpack.decode(data, type=Invoke)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # the codec's matter
    counter = CLASSES[0].classes[0]
    for call in message.calls:
        parameters = counter.parameters if isinstance(call, Make) else counter.methods[0].parameters
        for value in (*call.args, *call.kwargs.values()):
            try:
                values.check_bounds(value)
                values.unpack(value, [data], resolve=values.object_id_of)
            except (DtypeError, RemoteProtocolError):
                continue
        try:
            signatures.check_arguments(parameters, call.args, call.kwargs, call="Counter.incr")
        except ArgumentError:
            continue


def invokes() -> list[bytes]:
    """Seeds: the golden calls."""
    messages = [case[1] for case in GOLDEN.values() if isinstance(case[1], Invoke)]
    return [msgspec.msgpack.encode(message) for message in messages]


def classes(data: bytes) -> None:
    """Any class that a domain claims to export has types that are read, or ``SchemaError``."""
    try:
        message = msgspec.msgpack.decode(data, type=Classes)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # the codec's matter
    for method in (method for each in message.classes for method in each.methods):
        for text in (method.returns, *(parameter.type for parameter in method.parameters)):
            try:
                assert signatures.type_named(text).accepts(values.Ref(bytes(16)))
            except SchemaError:
                continue


def exports() -> list[bytes]:
    """Seeds: the golden classes, and one type of each kind."""
    kinds = ("list[int]", "tuple[int, str]", "dict[str, array | None]", "any", "list[list[int]]")
    methods = tuple(MethodInfo("f", (Parameter("x", kind),), kind) for kind in kinds)
    made = Classes((ActorClassInfo("C", (), methods),))
    return [msgspec.msgpack.encode(message) for message in (*CLASSES, made)]
