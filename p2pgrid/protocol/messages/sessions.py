"""Who is there, who logs in, and who may."""

from typing import Annotated, Any, Literal

from msgspec import Meta
from typing_extensions import override

from p2pgrid.protocol.messages.base import (
    WIRE_VERSION,
    BaseMessage,
    EncodedCapability,
    Id,
    Name,
    PublicKey,
    Record,
)

MAX_HOLDINGS = 256

MAX_SOURCES_TOLD = 4

Role = Literal["scientist", "owner"]

Statement = Annotated[bytes, Meta(max_length=1024)]

Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]


class Begin(BaseMessage, frozen=True, tag="begin"):
    """Asks who is there and for a nonce to sign."""

    version: int = WIRE_VERSION


class Challenge(BaseMessage, frozen=True, tag="challenge"):
    """The node's name and kind, a fresh nonce of this link, its signed record, and its clock."""

    kind: Literal["domain", "network"]
    name: Name
    nonce: Annotated[bytes, Meta(min_length=16, max_length=16)]
    record: Record
    now: float
    """Unix seconds, as the node believes; any number, from a hostile one."""


def label_of(nonce: bytes) -> str:
    """What both ends of a link call it in their logs."""
    return nonce[:4].hex()


class Login(BaseMessage, frozen=True, tag="login"):
    """A signed login statement over the nonce of this link.

    With a capability, the key is its audience, and the login is by what the capability gives.
    """

    statement: Statement
    signature: Signature
    capability: EncodedCapability = b""


class Session(BaseMessage, frozen=True, tag="session"):
    """The login holds; objects are named ``prefix`` + 8 bytes of the client, above ``last``.

    A client whose link broke gets the session that it had, as long as its lease runs. The
    capability is for the key that logged in, to be narrowed and given on.
    """

    account: Name
    role: Role
    prefix: Annotated[bytes, Meta(min_length=8, max_length=8)]
    last: Annotated[bytes, Meta(min_length=8, max_length=8)] = bytes(8)
    capability: EncodedCapability = b""


class Revoke(BaseMessage, frozen=True, tag="revoke"):
    """Takes a link of capabilities back, and with it all that hang on it.

    Owners may take back any; who signed a link shows a capability that has it.
    """

    link: Id
    capability: EncodedCapability = b""


class Enrol(BaseMessage, frozen=True, tag="enrol"):
    """An owner gives a public key an account."""

    name: Name
    public_key: PublicKey
    role: Role = "scientist"


class Account(BaseMessage, frozen=True, tag="account", gc=False):
    """An account and one of its keys; an account with several keys is told once for each."""

    name: Name
    public_key: PublicKey
    role: Role


Proof = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""What a client makes of a password for one domain and account; the password stays with it."""


class _Hidden(BaseMessage, frozen=True):
    """A message whose text forms show nothing of it."""

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}(<secret>)"

    @override
    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class SignUp(_Hidden, frozen=True, tag="sign-up"):
    """Somebody makes an account with a password; the key of the login statement is its first.

    The statement is over the nonce of this link, as in ``Login``, which comes next.
    """

    name: Name
    proof: Proof
    statement: Statement
    signature: Signature


class PasswordLogin(_Hidden, frozen=True, tag="password-login"):
    """Gives the key of the login statement to the account with this password, beside its others."""

    name: Name
    proof: Proof
    statement: Statement
    signature: Signature


class Enrolled(BaseMessage, frozen=True, tag="enrolled"):
    """The key belongs to the account now; the id stays with the account for its life."""

    account: Name
    user_id: Id


class Claim(_Hidden, frozen=True, tag="claim"):
    """Whoever has the setup token makes the key of the login statement the first owner's."""

    token: Id
    statement: Statement
    signature: Signature


class RemoveAccount(BaseMessage, frozen=True, tag="remove-account"):
    """An owner removes an account with its keys and its password; what runs by it ends."""

    name: Name


class ListAccounts(BaseMessage, frozen=True, tag="list-accounts"):
    """An owner asks for all accounts."""


class Accounts(BaseMessage, frozen=True, tag="accounts"):
    """All accounts of a domain, once for each of their keys, by name."""

    accounts: Annotated[tuple[Account, ...], Meta(max_length=100_000)]


class ListObjects(BaseMessage, frozen=True, tag="list-objects"):
    """An owner asks who holds what."""


class Holding(BaseMessage, frozen=True, tag="holding"):
    """The results that one session holds; public metadata only."""

    account: Name
    peer: Name
    objects: Annotated[int, Meta(ge=0)]
    held_bytes: Annotated[int, Meta(ge=0)]
    datasets: Annotated[tuple[Name, ...], Meta(max_length=MAX_SOURCES_TOLD)]
    """Names of the first of the datasets that the objects derive from."""
    sources: Annotated[int, Meta(ge=0)]
    """How many datasets that are."""
    age_s: float
    """Since the session was opened."""
    left_s: float | None
    """Until it is collected, unless its peer comes back; None while it is connected."""


class Holdings(BaseMessage, frozen=True, tag="holdings"):
    """The sessions of a domain, the largest first; ``sessions`` counts those left out, too."""

    held: Annotated[tuple[Holding, ...], Meta(max_length=MAX_HOLDINGS)]
    sessions: Annotated[int, Meta(ge=0)]
