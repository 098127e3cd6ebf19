"""Login statements: who logs in where, signed with the key that the domain enrolled.

Rule 1: a statement is good for one connection only. It names the domain, the client's end of the
noise session and a nonce that the domain drew for this connection, so neither a recording nor a
domain in the middle can use it anywhere else.

Rule 2: every refusal is the same ``AuthenticationError``; a stranger learns nothing from it.
Whether the key is enrolled is decided by the accounts, with the same error.
"""

from typing import Annotated

import msgspec
from msgspec import Meta
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from p2pgrid.errors import AuthenticationError, LocalProtocolError
from p2pgrid.ids import PUBLIC_KEY_BYTES, PeerId
from p2pgrid.protocol.malformed import MALFORMED
from p2pgrid.protocol.secret import Secret

LOGIN_TAG = b"p2pgrid/login/1\0"
"""Begins every signed login, so that no other signature of the key can be taken for one."""

NONCE_BYTES = 16
SIGNATURE_BYTES = 64
MAX_STATEMENT_BYTES = 256
LOGIN_TTL_S = 60
MAX_LOGIN_TTL_S = 300
"""A longer lifetime is refused, even if the client signed it."""
CLOCK_SKEW_S = 30
"""By how much the clocks of client and domain may differ, both ways."""

Peer = Annotated[PeerId, Meta(min_length=1, max_length=64)]
Nonce = Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
PublicKey = Annotated[bytes, Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES)]
UnixSeconds = Annotated[int, Meta(ge=0, lt=1 << 40)]


class LoginStatement(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a login signs; both times in Unix seconds, ``expires`` no longer included."""

    audience: Peer
    """The domain."""
    peer: Peer
    """The client's end of this noise session."""
    nonce: Nonce
    """Drawn by the domain for this connection."""
    public_key: PublicKey
    issued: UnixSeconds
    expires: UnixSeconds


class SignedLogin(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A ``LoginStatement`` as bytes, and the Ed25519 signature over ``LOGIN_TAG`` + these bytes."""

    statement: Annotated[bytes, Meta(max_length=MAX_STATEMENT_BYTES)]
    signature: Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


def sign_login(
    seed: Secret | bytes,
    *,
    audience: PeerId,
    peer: PeerId,
    nonce: bytes,
    now: float,
    ttl_s: int = LOGIN_TTL_S,
) -> SignedLogin:
    """Signs a login on ``audience`` for one connection.

    Args:
        seed: 32-byte Ed25519 seed of the user's key for this domain.
        audience: The domain's peer id, as the noise session proved it.
        peer: Our own peer id on this noise session.
        nonce: 16 bytes, given by the domain on this connection.
        now: Unix seconds.
        ttl_s: Lifetime of the statement, 1 to 300.

    Raises:
        LocalProtocolError: a value is outside of what ``check_login`` could ever accept.
    """
    # Frames show their locals in some tracebacks: from here on this one holds no plain seed.
    seed = seed if isinstance(seed, Secret) else Secret(seed)
    key = SigningKey(seed.reveal())
    issued = int(now)
    statement = msgspec.msgpack.encode(
        LoginStatement(audience, peer, nonce, key.verify_key.encode(), issued, issued + ttl_s)
    )
    read = _read(statement)
    if read is None or not _has_fair_lifetime(read):
        raise LocalProtocolError(
            f"a login needs a nonce of {NONCE_BYTES} bytes, two peer ids "
            f"and a lifetime of 1 to {MAX_LOGIN_TTL_S} s"
        )
    return SignedLogin(statement, key.sign(LOGIN_TAG + statement).signature)


def check_login(
    signed: SignedLogin,
    *,
    audience: PeerId,
    peer: PeerId,
    nonce: bytes,
    now: float,
    clock_skew_s: float = CLOCK_SKEW_S,
) -> bytes:
    """The 32-byte public key that logs in; the caller looks up whether it is enrolled.

    Args:
        signed: What the client sent.
        audience: This domain.
        peer: The other end of the noise session on which ``signed`` came.
        nonce: 16 bytes that this domain drew for this connection, and gave to no other.
        now: Unix seconds.
        clock_skew_s: By how much the clocks may differ, both ways.

    Raises:
        AuthenticationError: anything at all is wrong.
    """
    statement = _read(signed.statement)
    if (
        statement is None
        or (statement.audience, statement.peer, statement.nonce) != (audience, peer, nonce)
        or not _has_fair_lifetime(statement)
        or not statement.issued - clock_skew_s <= now < statement.expires + clock_skew_s
        or not _is_signed(signed, statement.public_key)
    ):
        raise AuthenticationError(domain=audience)
    return statement.public_key


_decoder = msgspec.msgpack.Decoder(LoginStatement)


def _read(statement: bytes) -> LoginStatement | None:
    if len(statement) > MAX_STATEMENT_BYTES:
        return None
    try:
        return _decoder.decode(statement)
    except MALFORMED:
        return None


def _has_fair_lifetime(statement: LoginStatement) -> bool:
    return 0 < statement.expires - statement.issued <= MAX_LOGIN_TTL_S


def _is_signed(signed: SignedLogin, public_key: bytes) -> bool:
    if len(signed.signature) != SIGNATURE_BYTES:
        return False
    try:
        VerifyKey(public_key).verify(LOGIN_TAG + signed.statement, signed.signature)
    except BadSignatureError:
        return False
    return True
