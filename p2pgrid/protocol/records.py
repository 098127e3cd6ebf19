"""Records: what a node says about itself to anyone, signed, with sequence and expiry.

Trust: a record proves only that the holder of a key said this once. It does not prove that the
node is alive, that its addresses work, or that a name belongs to it: peer ids are identities,
names are not. What travels and is stored are the signed bytes, never a re-encoded body.
"""

import hashlib
from typing import Annotated, Literal

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from p2pgrid.errors import (
    ExpiredRecordError,
    ForgedRecordError,
    OversizedRecordError,
    RemoteProtocolError,
    SchemaError,
)
from p2pgrid.ids import ID_BYTES, PUBLIC_KEY_BYTES, DatasetId, ObjectId, PeerId, peer_id_of
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.malformed import MALFORMED
from p2pgrid.protocol.metadata import MAX_ENTRIES, MAX_KEY, MAX_VALUE
from p2pgrid.protocol.schemas import DatasetSchema
from p2pgrid.protocol.text import folded

DOMAIN_SEPARATION = b"p2pgrid/record/1\0"
TAG_SEPARATION = b"p2pgrid/tag/1\0"
KEY_SEPARATION = b"p2pgrid/dht-key/1\0"

DHT_RECORD_BYTES = 4096
"""What the DHT carries at most: one encoded ``SignedRecord`` of a ``NodeRecord``."""
DATASET_RECORD_BYTES = 256 * 1024
MAX_TTL_S = 24 * 3600
"""No record outlives a day, so that a lost key or a moved node is forgotten in a day."""
SIGNATURE_BYTES = 64
DHT_NAMESPACE = "p2pgrid"
KEY_HEX_DIGITS = 32
TAG_CHARACTERS = 64
MAX_ADDRESSES = 16
"""Of a node, in one record."""
MAX_ARRAYS = 1024
"""Of a dataset: tensors, times their columns where they are stored by column, times splits."""

Split = Literal["train", "dev", "test"]

# Characters, not bytes; the size of the whole record bounds the bytes.
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=TAG_CHARACTERS)]
_Address = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Addresses = Annotated[tuple[_Address, ...], msgspec.Meta(max_length=MAX_ADDRESSES)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Seq = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Shape = Annotated[tuple[_Count, ...], msgspec.Meta(max_length=32)]
_ObjectId = Annotated[ObjectId, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
_DatasetId = Annotated[DatasetId, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
_PublicKey = Annotated[
    bytes, msgspec.Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES)
]
PublicMetadata = Annotated[
    dict[
        Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KEY)],
        Annotated[str, msgspec.Meta(max_length=MAX_VALUE)] | int | float | bool | None,
    ],
    msgspec.Meta(max_length=MAX_ENTRIES),
]
_Frameworks = Annotated[
    tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=8)], ...],
    msgspec.Meta(max_length=16),
]
_Signature = Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


class NodeRecord(msgspec.Struct, frozen=True, tag="node", forbid_unknown_fields=True):
    """Where a node can be reached; what the DHT holds under ``dht_key`` of its peer id.

    ``expires`` is in Unix seconds, ``datasets`` a count. A higher ``seq`` replaces a lower one.
    """

    kind: Literal["domain", "network"]
    name: _Name
    addresses: _Addresses
    seq: _Seq
    expires: _Count
    datasets: _Count = 0


class TensorInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The public face of one stored array: names, shape and numpy dtype name, never a value.

    A tensor whose columns have different dtypes is stored as an array of shape (rows, ...) per
    ``column``; otherwise ``column`` is empty, and the array is the whole tensor ``name``.
    """

    name: _Name
    object_id: _ObjectId
    shape: _Shape
    dtype: Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
    split: Split = "train"
    column: Annotated[str, msgspec.Meta(max_length=128)] = ""


class DatasetRecord(msgspec.Struct, frozen=True, tag="dataset", forbid_unknown_fields=True):
    """What a domain says in public about one version of a dataset; what a registry indexes.

    ``domain`` is the name that the domain gives itself. A higher ``seq`` replaces a lower one.
    ``uploaded`` is in Unix seconds, ``frameworks`` what the domain can convert to. Without a
    ``schema``, nothing is known of its arrays but shapes and dtypes.
    """

    domain: _Name
    dataset_id: _DatasetId
    name: _Name
    description: Annotated[str, msgspec.Meta(max_length=16 * 1024)]
    tags: Annotated[tuple[_Tag, ...], msgspec.Meta(max_length=32)]
    tensors: Annotated[tuple[TensorInfo, ...], msgspec.Meta(max_length=MAX_ARRAYS)]
    version: _Count
    seq: _Seq
    expires: _Count
    addresses: _Addresses = ()
    schema: DatasetSchema | None = None
    metadata: PublicMetadata = {}
    frameworks: _Frameworks = ()
    worst_case_user_budget: UserBudget | None = None
    private: bool = True
    uploaded: _Count = 0


Body = NodeRecord | DatasetRecord


class SignedRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A body as it was signed. Nothing in it is believed before ``verify``.

    Several encodings may hold the same signed payload: compare payloads, not encodings.
    """

    payload: Annotated[bytes, msgspec.Meta(max_length=DATASET_RECORD_BYTES)]
    public_key: _PublicKey
    signature: _Signature

    def encode(self) -> bytes:
        """The bytes that travel."""
        return _ENCODER.encode(self)

    @classmethod
    def decode(cls, encoded: bytes) -> "SignedRecord":
        """Reads what ``encode`` wrote; checks lengths, but no signature.

        Raises:
            RemoteProtocolError: these are not the bytes of a signed record.
        """
        try:
            return _ENVELOPES.decode(encoded)
        except MALFORMED as error:
            raise RemoteProtocolError("a record cannot be decoded") from error

    def body(self) -> Body:
        """What the payload says, whoever wrote it: for records that were verified before.

        Raises:
            RemoteProtocolError: the payload holds no body.
        """
        try:
            return _BODIES.decode(self.payload)
        except MALFORMED as error:
            raise RemoteProtocolError("the body of a record cannot be decoded") from error


_ENCODER = msgspec.msgpack.Encoder()
_ENVELOPES = msgspec.msgpack.Decoder(SignedRecord)
_BODIES: msgspec.msgpack.Decoder[Body] = msgspec.msgpack.Decoder(Body)


def sign(body: Body, *, signing_key: bytes) -> SignedRecord:
    """Signs a body with an Ed25519 key, given as its 32-byte seed.

    Raises:
        SchemaError: the body breaks a cap that every reader enforces.
    """
    payload = _ENCODER.encode(body)
    try:
        _BODIES.decode(payload)
    except msgspec.ValidationError as error:
        raise SchemaError(field=type(body).__name__, problem=str(error)) from error
    key = SigningKey(signing_key)
    signature = key.sign(DOMAIN_SEPARATION + payload).signature
    return SignedRecord(payload=payload, public_key=bytes(key.verify_key), signature=signature)


def verify(
    record_bytes: bytes, *, now: float, expect_peer: PeerId | None = None, max_bytes: int
) -> tuple[Body, PeerId]:
    """The body of a signed record and who signed it; checks in this order, cheapest first.

    Args:
        record_bytes: An encoded ``SignedRecord``, from anybody.
        now: Unix seconds.
        expect_peer: Who has to have signed it; None accepts any key.
        max_bytes: Largest ``record_bytes``.

    Raises:
        OversizedRecordError: more than ``max_bytes``.
        RemoteProtocolError: it cannot be decoded.
        ForgedRecordError: the signature does not fit, or the key is not that of ``expect_peer``.
        ExpiredRecordError: ``now`` has reached ``expires``, or ``expires`` lies more than
            ``MAX_TTL_S`` ahead.
    """
    if len(record_bytes) > max_bytes:
        raise OversizedRecordError(
            f"a record has {len(record_bytes):,} bytes, but at most {max_bytes:,} are allowed"
        )
    signed = SignedRecord.decode(record_bytes)
    signer = _signer(signed)
    if expect_peer is not None and signer != expect_peer:
        raise ForgedRecordError(f"a record of {expect_peer} is signed by {signer}")
    body = signed.body()
    left_s = body.expires - now
    if not 0 < left_s <= MAX_TTL_S:
        raise ExpiredRecordError(
            f"a record of {signer} expires in {left_s:,.0f} s; "
            f"only 1 to {MAX_TTL_S:,} are accepted (check both clocks)"
        )
    return body, signer


def newer(candidate: Body, known: Body) -> bool:
    """Whether ``candidate`` replaces ``known``; both have to be of the same signer."""
    return candidate.seq > known.seq


def dht_key(peer: PeerId) -> str:
    """Where the DHT holds a peer's ``NodeRecord``: ``/p2pgrid/`` and 32 hex digits.

    41 bytes: py-libp2p 0.8.1 resets lookups of keys over 50 bytes.
    """
    digest = hashlib.sha256(KEY_SEPARATION + peer.encode()).hexdigest()
    return f"/{DHT_NAMESPACE}/{digest[:KEY_HEX_DIGITS]}"


def bare_tag(text: str) -> str:
    """A tag as it is compared: folded, and without ``#`` in front; maybe nothing is left."""
    return folded(text).lstrip("# ")


def normalise_tag(text: str) -> str:
    """The one spelling of a tag, see ``bare_tag``.

    Raises:
        SchemaError: nothing is left of it, or more than ``TAG_CHARACTERS``.
    """
    tag = bare_tag(text)
    if not 1 <= len(tag) <= TAG_CHARACTERS:
        raise SchemaError(
            field="tag", problem=f"has {len(tag)} characters; 1 to {TAG_CHARACTERS} are allowed"
        )
    return tag


def tag_key(tag: str) -> bytes:
    """The 32-byte DHT key of a tag, in any spelling. Whoever guesses the tag finds the key."""
    return hashlib.sha256(TAG_SEPARATION + normalise_tag(tag).encode()).digest()


def _signer(signed: SignedRecord) -> PeerId:
    try:
        VerifyKey(signed.public_key).verify(DOMAIN_SEPARATION + signed.payload, signed.signature)
    except BadSignatureError as error:
        raise ForgedRecordError("the signature of a record does not fit its content") from error
    return peer_id_of(signed.public_key)
