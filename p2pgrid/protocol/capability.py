"""Capabilities: signed chains of grants, which a holder narrows offline and passes on.

The domain signs the first link; every other link is signed by the audience of the link before.
Rule 1: a link's signature covers the domain, the id of the link before and the grant, so no link
can be taken out, exchanged or put into another chain.
Rule 2: whoever holds the key of the last audience can use the chain or add a link; who only reads
the bytes can do neither.
Rule 3: sizes are bounded and the cheapest checks come first, so that a stranger's token costs at
most ``MAX_LINKS`` signatures.
"""

import base64
import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from nacl.signing import SigningKey

from p2pgrid.errors import CapabilityError
from p2pgrid.ids import PeerId, public_key_of
from p2pgrid.protocol.grants import Grant, Scope
from p2pgrid.protocol.malformed import MALFORMED
from p2pgrid.protocol.messages import MAX_CAPABILITY_BYTES
from p2pgrid.protocol.secret import Secret
from p2pgrid.protocol.statements import SIGNATURE_BYTES, Peer

CAPABILITY_TAG = b"p2pgrid/capability/1\0"
"""Begins what every link signs, so that no other signature of a key can be taken for one."""
TEXT_PREFIX = "p2pgrid-capability:"
MAX_LINKS = 8
LINK_ID_BYTES = 16
NOBODY = "an unknown domain"


class Link(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An encoded ``Grant`` and the signature of the audience before."""

    payload: Annotated[bytes, Meta(max_length=MAX_CAPABILITY_BYTES)]
    signature: Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


class Capability(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A chain that was read or made; only ``verify`` says whether it is good."""

    domain: Peer
    links: Annotated[tuple[Link, ...], Meta(min_length=1, max_length=MAX_LINKS)]

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What the links say, the domain's first."""
        return tuple(_grant(link, self.domain) for link in self.links)

    @property
    def audience(self) -> bytes:
        """The key that may use it: 32 bytes."""
        return _grant(self.links[-1], self.domain).audience

    @property
    def signers(self) -> tuple[bytes, ...]:
        """The key that has to have signed each link; it may revoke that link."""
        return domain_key(self.domain), *(grant.audience for grant in self.grants[:-1])

    @property
    def signed(self) -> tuple[bytes, ...]:
        """What each link signs."""
        key, previous = domain_key(self.domain), bytes(LINK_ID_BYTES)
        found = []
        for link in self.links:
            found.append(CAPABILITY_TAG + key + previous + link.payload)
            previous = id_of(found[-1])
        return tuple(found)

    @property
    def ids(self) -> tuple[bytes, ...]:
        """Names of the links, 16 bytes each; to revoke one is to revoke what hangs on it."""
        return tuple(map(id_of, self.signed))

    @property
    def scope(self) -> Scope:
        """What all links together allow.

        Raises:
            CapabilityError: a link is malformed, or wider than the one before.
        """
        grants = self.grants
        if not grants[0].account or any(grant.account for grant in grants[1:]):
            raise CapabilityError(reason="malformed", domain=self.domain)
        scope = Scope()
        for grant in grants:
            narrowed = scope.narrowed(grant)
            if narrowed is None:
                raise CapabilityError(reason="widened", domain=self.domain)
            scope = narrowed
        return scope


def mint(
    seed: Secret | bytes,
    *,
    domain: PeerId,
    account: str,
    audience: bytes,
    objects: tuple[bytes, ...] | None,
    operations: tuple[str, ...] | None,
    expires: int,
    nonce: bytes,
    to: tuple[bytes, ...] | None = None,
) -> Capability:
    """The first link, signed by the domain.

    Args:
        seed: 32-byte seed of the domain's key.
        domain: its peer id.
        account: whose rights the capability draws on.
        audience: 32-byte Ed25519 key of whoever may use it.
        objects: see ``Grant``; None: all that the account may reach.
        operations: see ``Grant``; None: all.
        expires: Unix seconds.
        nonce: 8 random bytes.
        to: keys of domains to which objects may move; None: any that policy allows.
    """
    grant = Grant(audience, objects, operations, expires, nonce, account, to)
    return _extended(seed, domain, (), grant)


def delegate(
    capability: Capability,
    seed: Secret | bytes,
    *,
    audience: bytes,
    objects: tuple[bytes, ...] | None = None,
    operations: tuple[str, ...] | None = None,
    expires: int | None = None,
    nonce: bytes,
    to: tuple[bytes, ...] | None = None,
) -> Capability:
    """The capability with one more link, for another audience; nobody has to be asked.

    What is left out stays as it is. The arguments are those of ``mint``, but ``seed`` belongs to
    the audience of ``capability``.

    Raises:
        CapabilityError: "audience": the key is another one; "widened": more than there is to
            give; "oversized": too many links or bytes; "malformed": names of another length.
    """
    scope = capability.scope
    ends = scope.expires if expires is None else expires
    grant = Grant(audience, objects, operations, ends, nonce, "", to)
    if _key_of(seed).verify_key.encode() != capability.audience:
        raise CapabilityError(reason="audience", domain=capability.domain)
    if scope.narrowed(grant) is None:
        raise CapabilityError(reason="widened", domain=capability.domain)
    return _extended(seed, capability.domain, capability.links, grant)


def encode(capability: Capability) -> bytes:
    """The bytes that go over the wire, at most ``MAX_CAPABILITY_BYTES``."""
    return _encoder.encode(capability)


def decode(encoded: bytes) -> Capability:
    """The capability in these bytes; nothing in it is believed yet.

    Raises:
        CapabilityError: "oversized" or "malformed".
    """
    if len(encoded) > MAX_CAPABILITY_BYTES:
        raise CapabilityError(reason="oversized", domain=NOBODY)
    try:
        capability = _decoder.decode(encoded)
    except MALFORMED:
        raise CapabilityError(reason="malformed", domain=NOBODY) from None
    if encode(capability) != encoded:  # one capability has one form, so that a cache knows it
        raise CapabilityError(reason="malformed", domain=NOBODY)
    return capability


def as_text(capability: Capability) -> str:
    """One line of text."""
    return TEXT_PREFIX + base64.urlsafe_b64encode(encode(capability)).decode("ascii")


def from_text(text: str) -> Capability:
    """The capability in a line of text.

    Raises:
        CapabilityError: "oversized" or "malformed".
    """
    encoded = text.strip().removeprefix(TEXT_PREFIX)
    if len(encoded) > 2 * MAX_CAPABILITY_BYTES:
        raise CapabilityError(reason="oversized", domain=NOBODY)
    try:
        return decode(base64.b64decode(encoded, altchars=b"-_", validate=True))
    except ValueError:  # no base64, or no ASCII
        raise CapabilityError(reason="malformed", domain=NOBODY) from None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Capability)
_grant_decoder = msgspec.msgpack.Decoder(Grant)


def _grant(link: Link, domain: PeerId) -> Grant:
    try:
        return _grant_decoder.decode(link.payload)
    except MALFORMED:
        raise CapabilityError(reason="malformed", domain=domain) from None


def domain_key(domain: PeerId) -> bytes:
    """The key of a domain, from its peer id.

    Raises:
        CapabilityError: "malformed".
    """
    try:
        return public_key_of(domain)
    except ValueError:
        raise CapabilityError(reason="malformed", domain=NOBODY) from None


def id_of(signed: bytes) -> bytes:
    """The name of the link that signs these bytes."""
    return hashlib.blake2b(signed, digest_size=LINK_ID_BYTES).digest()


def _extended(
    seed: Secret | bytes, domain: PeerId, links: tuple[Link, ...], grant: Grant
) -> Capability:
    if len(links) >= MAX_LINKS:
        raise CapabilityError(reason="oversized", domain=domain)
    unsigned = Link(_encoder.encode(grant), bytes(SIGNATURE_BYTES))
    _grant(unsigned, domain)  # what nobody could read is not signed
    signed = Capability(domain, (*links, unsigned)).signed[-1]
    link = Link(unsigned.payload, _key_of(seed).sign(signed).signature)
    return decode(encode(Capability(domain, (*links, link))))


def _key_of(seed: Secret | bytes) -> SigningKey:
    return SigningKey(seed.reveal() if isinstance(seed, Secret) else seed)
