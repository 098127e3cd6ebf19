"""Handles that travel: one line of text that says what, where, and by which right.

The capability in the text is signed; the rest (name, addresses, shapes, dtypes) are hints of
whoever sent it, and no secrets. Wrong hints lead nowhere: the address has to answer with the
domain's key, and the domain infers shapes and dtypes again.
"""

import base64
import binascii
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, NamedTuple, Self

import msgspec
from msgspec import Meta, Struct

from p2pgrid.client.home import Home
from p2pgrid.client.users import key_bytes
from p2pgrid.errors import CapabilityError
from p2pgrid.ids import PeerId, public_key_of
from p2pgrid.protocol.capability import (
    NOBODY,
    TEXT_PREFIX,
    Capability,
    decode,
    delegate,
    encode,
    from_text,
)
from p2pgrid.protocol.grants import GRANT_NONCE_BYTES
from p2pgrid.protocol.malformed import MALFORMED
from p2pgrid.protocol.messages import EncodedCapability, Name

SHARE_PREFIX = "p2pgrid-share:"
MAX_TEXT = 112 * 1024


class Shared(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is in a line of text; only ``capability`` is signed."""

    capability: EncodedCapability
    name: Name
    """What the domain calls itself."""
    addresses: Annotated[tuple[Annotated[str, Meta(max_length=400)], ...], Meta(max_length=16)]
    kind: Annotated[str, Meta(max_length=16)]
    form: Annotated[bytes, Meta(max_length=64 * 1024)]
    """The public metadata from which a handle of this kind is made."""

    def text(self) -> str:
        """The line."""
        return SHARE_PREFIX + base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode("ascii")

    @classmethod
    def read(cls, text: str) -> Self:
        """What a line says; nothing in it is believed yet.

        Raises:
            CapabilityError: "malformed" or "oversized".
        """
        if len(text) > MAX_TEXT:
            raise CapabilityError(reason="oversized", domain=NOBODY)
        line = text.strip().removeprefix(SHARE_PREFIX)
        try:
            raw = base64.b64decode(line, altchars=b"-_", validate=True)
            return msgspec.msgpack.decode(raw, type=cls)
        except (*MALFORMED, binascii.Error, ValueError):
            raise CapabilityError(reason="malformed", domain=NOBODY) from None


class Grantable(NamedTuple):
    """What of a handle can be granted, and its public metadata."""

    domain: Home
    objects: tuple[bytes, ...]
    kind: str
    form: bytes


class Shareable(ABC):
    """A handle whose rights its holder can narrow and give on, without asking anybody."""

    __slots__ = ()

    @abstractmethod
    def _grantable(self) -> Grantable:
        """What the handle stands for; raises why it does not exist."""

    @property
    def capability(self) -> Capability:
        """The handle's own token: what we may do with it, and with nothing else.

        Made here, from what the domain gave at the login; logs in when nobody has yet.

        Raises:
            CapabilityError: "widened": we have no right to it ourselves; "expired".
            NoKeyError, DomainUnreachableError: from the first login.
        """
        what = self._grantable()
        own = what.domain.held().capability.audience
        return _narrowed(what, audience=own)

    def share(
        self,
        audience: str,
        *,
        operations: str | Sequence[str] | None = None,
        expires_in_s: float = 3600,
        to: Sequence[str] | None = None,
    ) -> str:
        """Gives the right to this object to somebody else, who need not have an account.

        What the other computes of it belongs to a session of his own; it is all done by our
        account's rights, as they are when he uses them, and audited as such. The object stays
        ours: it goes when our session does. Small differences of the clocks matter only near the
        end.

        Args:
            audience: the public key of the other, 64 hex characters (``p2pgrid wallet new``); who
                else reads the text can do nothing with it.
            operations: names of ``docs/operations.md``, ``get``, ``move`` and the like; default:
                all that we may do. ``get`` also allows to take home what he computes.
            expires_in_s: how long it holds, at most as long as our own right: a day from the login.
            to: peer ids of the domains to which ``move`` may take it; default: as policy allows.

        Returns:
            One line of text for ``p2pgrid.accept``.

        Raises:
            CapabilityError: "widened": it is more than we have; "oversized": too many objects, or
                it went through too many hands.
            SchemaError: ``audience`` is no public key.
        """
        what = self._grantable()
        capability = _narrowed(
            what,
            audience=key_bytes(audience),
            operations=(operations,) if isinstance(operations, str) else operations,
            expires=int(time.time() + expires_in_s),
            to=None if to is None else tuple(public_key_of(PeerId(peer)) for peer in to),
        )
        name, addresses = what.domain.name, what.domain.addresses
        return Shared(encode(capability), name, addresses, what.kind, what.form).text()


def capability_in(text: str) -> Capability:
    """The capability in what ``share`` gave, or in its own text.

    Raises:
        CapabilityError: "malformed" or "oversized".
    """
    if text.strip().startswith(TEXT_PREFIX):
        return from_text(text)
    return decode(Shared.read(text).capability)


def _narrowed(
    what: Grantable,
    *,
    audience: bytes,
    operations: Sequence[str] | None = None,
    expires: int | None = None,
    to: tuple[bytes, ...] | None = None,
) -> Capability:
    capability, key = what.domain.held()
    latest = capability.scope.expires
    if latest <= time.time():
        raise CapabilityError(reason="expired", domain=what.domain.peer_id)
    return delegate(
        capability,
        key.seed,
        audience=audience,
        objects=what.objects,
        operations=None if operations is None else tuple(operations),
        expires=latest if expires is None else min(expires, latest),
        nonce=secrets.token_bytes(GRANT_NONCE_BYTES),
        to=to,
    )
