"""A record says who signed it, or nothing."""

import hashlib

import msgspec
import pytest
from hypothesis import given, strategies as st
from nacl.signing import SigningKey

from p2pgrid.errors import (
    ExpiredRecordError,
    ForgedRecordError,
    OversizedRecordError,
    P2PGridError,
    RemoteProtocolError,
    SchemaError,
)
from p2pgrid.ids import DatasetId, ObjectId, peer_id_of
from p2pgrid.protocol import records
from p2pgrid.protocol.records import (
    DATASET_RECORD_BYTES,
    DHT_RECORD_BYTES,
    MAX_TTL_S,
    Body,
    DatasetRecord,
    NodeRecord,
    SignedRecord,
    TensorInfo,
    dht_key,
    newer,
    normalise_tag,
    sign,
    tag_key,
    verify,
)

NOW = 1_800_000_000.0
SEED = bytes(range(32))
PEER = peer_id_of(bytes(SigningKey(SEED).verify_key))
NODE = NodeRecord(
    kind="domain",
    name="clinic",
    addresses=("/ip4/192.0.2.7/tcp/4001",),
    seq=7,
    expires=int(NOW) + 600,
    datasets=2,
)
DATASET = DatasetRecord(
    domain="clinic",
    dataset_id=DatasetId(b"d" * 16),
    name="blood pressure",
    description="systolic, mmHg",
    tags=("hypertension",),
    tensors=(TensorInfo("values", ObjectId(b"o" * 16), (100, 3), "float32"),),
    version=1,
    seq=1,
    expires=int(NOW) + 600,
)

names = st.text(min_size=1, max_size=128)
counts = st.integers(0, 2**53)
addresses = st.lists(st.text(min_size=1, max_size=256), max_size=16).map(tuple)
expiries = st.integers(int(NOW) + 1, int(NOW) + MAX_TTL_S)
ids = st.binary(min_size=16, max_size=16)
nodes = st.builds(
    NodeRecord,
    kind=st.sampled_from(["domain", "network"]),
    name=names,
    addresses=addresses,
    seq=st.integers(0, 2**63 - 1),
    expires=expiries,
    datasets=counts,
)
tensors = st.builds(
    TensorInfo,
    name=names,
    object_id=ids.map(ObjectId),
    shape=st.lists(counts, max_size=32).map(tuple),
    dtype=st.text(min_size=1, max_size=16),
)
datasets = st.builds(
    DatasetRecord,
    domain=names,
    dataset_id=ids.map(DatasetId),
    name=names,
    description=st.text(max_size=100),
    tags=st.lists(st.text(min_size=1, max_size=64), max_size=4).map(tuple),
    tensors=st.lists(tensors, max_size=4).map(tuple),
    version=counts,
    seq=st.integers(0, 2**63 - 1),
    expires=expiries,
    addresses=addresses,
)


def signed(body: Body = NODE) -> bytes:
    return sign(body, signing_key=SEED).encode()


@given(body=nodes | datasets)
def test_what_was_signed_is_what_is_verified(body: Body) -> None:
    encoded = sign(body, signing_key=SEED).encode()
    assert verify(encoded, now=NOW, expect_peer=PEER, max_bytes=DATASET_RECORD_BYTES) == (
        body,
        PEER,
    )


@given(bit=st.integers(0, len(signed()) * 8 - 1))
def test_any_flipped_bit_is_refused(bit: int) -> None:
    broken = bytearray(signed())
    broken[bit // 8] ^= 1 << bit % 8
    with pytest.raises((ForgedRecordError, RemoteProtocolError)):
        verify(bytes(broken), now=NOW, max_bytes=DHT_RECORD_BYTES)


@pytest.mark.parametrize("part", ["payload", "public_key", "signature"])
@given(data=st.data())
def test_a_flipped_bit_inside_a_part_is_a_forgery(part: str, data: st.DataObject) -> None:
    record = sign(NODE, signing_key=SEED)
    raw = bytearray(getattr(record, part))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    forged = msgspec.structs.replace(record, **{part: bytes(raw)})
    with pytest.raises(ForgedRecordError):
        verify(forged.encode(), now=NOW, max_bytes=DHT_RECORD_BYTES)


@given(noise=st.binary(max_size=200))
def test_noise_raises_only_our_errors(noise: bytes) -> None:
    with pytest.raises(P2PGridError):
        verify(noise, now=NOW, max_bytes=DHT_RECORD_BYTES)


def signed_bytes(payload: bytes) -> bytes:
    """A record of any bytes, rightly signed."""
    key = SigningKey(SEED)
    signature = key.sign(records.DOMAIN_SEPARATION + payload).signature
    return SignedRecord(payload, bytes(key.verify_key), signature).encode()


@given(noise=st.binary(max_size=200))
def test_signed_noise_is_a_broken_protocol(noise: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        verify(signed_bytes(noise), now=NOW, max_bytes=DHT_RECORD_BYTES)


def test_a_signature_without_the_domain_separation_is_a_forgery() -> None:
    record = sign(NODE, signing_key=SEED)
    bare = SigningKey(SEED).sign(record.payload).signature
    forged = msgspec.structs.replace(record, signature=bare)
    with pytest.raises(ForgedRecordError):
        verify(forged.encode(), now=NOW, max_bytes=DHT_RECORD_BYTES)


def test_a_record_of_somebody_else_is_a_forgery() -> None:
    other = peer_id_of(bytes(SigningKey(b"x" * 32).verify_key))
    with pytest.raises(ForgedRecordError, match=other):
        verify(signed(), now=NOW, expect_peer=other, max_bytes=DHT_RECORD_BYTES)


@pytest.mark.parametrize(
    ("now", "valid"),
    [
        (NODE.expires - 0.001, True),
        (NODE.expires, False),
        (NODE.expires + 1, False),
        (NODE.expires - MAX_TTL_S, True),
        (NODE.expires - MAX_TTL_S - 0.001, False),
    ],
)
def test_a_record_counts_before_its_expiry_and_no_more_than_a_day_ahead(
    now: float, valid: bool
) -> None:
    if valid:
        assert verify(signed(), now=now, max_bytes=DHT_RECORD_BYTES) == (NODE, PEER)
    else:
        with pytest.raises(ExpiredRecordError):
            verify(signed(), now=now, max_bytes=DHT_RECORD_BYTES)


def test_one_byte_over_the_limit_is_oversized() -> None:
    encoded = signed()
    verify(encoded, now=NOW, max_bytes=len(encoded))
    with pytest.raises(OversizedRecordError, match=str(len(encoded))):
        verify(encoded, now=NOW, max_bytes=len(encoded) - 1)


@pytest.mark.parametrize(
    "body",
    [
        msgspec.structs.replace(NODE, name=""),
        msgspec.structs.replace(NODE, name="x" * 129),
        msgspec.structs.replace(NODE, addresses=("/ip4/192.0.2.7/tcp/1",) * 17),
        msgspec.structs.replace(NODE, seq=-1),
        msgspec.structs.replace(NODE, kind="other"),
        msgspec.structs.replace(DATASET, dataset_id=b"short"),
        msgspec.structs.replace(DATASET, description="x" * (16 * 1024 + 1)),
        msgspec.structs.replace(DATASET, tensors=(*DATASET.tensors * 1025,)),
        msgspec.structs.replace(
            DATASET, tensors=(TensorInfo("t", ObjectId(b"o" * 16), (1,) * 33, "float32"),)
        ),
    ],
)
def test_what_no_reader_would_accept_is_not_signed(body: Body) -> None:
    with pytest.raises(SchemaError):
        sign(body, signing_key=SEED)


def test_unknown_fields_are_refused() -> None:
    payload = msgspec.msgpack.encode({"type": "node", **msgspec.structs.asdict(NODE), "more": 1})
    with pytest.raises(RemoteProtocolError):
        verify(signed_bytes(payload), now=NOW, max_bytes=DHT_RECORD_BYTES)


def test_a_higher_seq_is_newer_and_an_equal_one_is_not() -> None:
    assert newer(msgspec.structs.replace(NODE, seq=8), NODE)
    assert not newer(NODE, NODE)
    assert not newer(msgspec.structs.replace(NODE, seq=6), NODE)


def test_a_dht_key_is_short_enough_for_py_libp2p() -> None:
    key = dht_key(PEER)
    assert key.startswith("/p2pgrid/")
    assert len(key.encode()) == 41
    assert key != dht_key(peer_id_of(bytes(SigningKey(b"x" * 32).verify_key)))


@pytest.mark.parametrize(
    "text", ["mnist", "#mnist", " #MNIST\n", "##Mnist", "# mnist", "\uff2dnist"]
)
def test_spellings_of_a_tag_are_one_tag(text: str) -> None:
    assert normalise_tag(text) == "mnist"
    assert tag_key(text) == tag_key("mnist")


@given(text=st.text(max_size=40))
def test_a_normal_tag_stays_as_it_is(text: str) -> None:
    try:
        once = normalise_tag(text)
    except SchemaError:
        return
    assert normalise_tag(once) == once


@pytest.mark.parametrize("text", ["", "#", " # ", "x" * 65])
def test_empty_and_overlong_tags_are_refused(text: str) -> None:
    with pytest.raises(SchemaError):
        normalise_tag(text)


def test_the_wire_form_is_unchanged() -> None:
    assert signed().hex() == (
        "93c46287a474797065a46e6f6465a46b696e64a6646f6d61696ea46e616d65a6636c696e6963a961"
        "646472657373657391b72f6970342f3139322e302e322e372f7463702f34303031a373657107a765"
        "787069726573ce6b49d458a8646174617365747302c42003a107bff3ce10be1d70dd18e74bc09967"
        "e4d6309ba50d5f1ddc8664125531b8c4403f300616cfc4d2bbf29943a2a720ce7bebd21a8641c917"
        "1ae56ad63bd68c54d9347909886434125dbd6b0e236b94da1cdf5a5a1a583755765531493012dd85"
        "0b"
    )
    assert hashlib.sha256(signed(DATASET)).hexdigest() == (
        "d29ecc033ba50b0cfc46b1474dc1c14ff06ca123862673bf68097ad4b73a137c"
    )
    assert dht_key(PEER) == "/p2pgrid/409b10d67f0f0008669300d2b7af352d"
    assert tag_key("mnist").hex() == (
        "13dd0b22350a7d533976019fbf8ba04dd66b1b0ee6c57e0d7b9f9c27edb64c2a"
    )
