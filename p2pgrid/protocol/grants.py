"""What one link of a capability gives, and the rule that it never gives more than the one before.

Rule 1: ``Scope.narrowed`` is the only way from one link to the next; it gives a scope that allows
no more than the one that it began with, or none at all.
Rule 2: what a grant does not mention (``None``) is as in the link before; the first link begins
with everything, within what the domain's policy gives to the account.
"""

from typing import Annotated, NamedTuple, Self, TypeVar

from msgspec import Meta, Struct

from p2pgrid.protocol.messages import OptionalName, PublicKey
from p2pgrid.protocol.statements import UnixSeconds

MAX_NAMED = 64
"""Objects, operations or destinations that one link may name."""
PREFIX_BYTES = 8
GRANT_NONCE_BYTES = 8
FOREVER = 1 << 40

Item = TypeVar("Item")
ObjectName = Annotated[bytes, Meta(min_length=PREFIX_BYTES, max_length=16)]
Operation = Annotated[str, Meta(min_length=1, max_length=80)]
Objects = Annotated[tuple[ObjectName, ...], Meta(max_length=MAX_NAMED)]
Operations = Annotated[tuple[Operation, ...], Meta(max_length=MAX_NAMED)]
Destinations = Annotated[tuple[PublicKey, ...], Meta(max_length=MAX_NAMED)]


class Grant(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One link: who may do what with which objects, until when."""

    audience: PublicKey
    """The Ed25519 key that may use it, or give it on."""
    objects: Objects | None
    """Ids of objects (16 bytes), or prefixes of sessions (8 bytes): all objects of those."""
    operations: Operations | None
    """As on the wire: ``get``, ``sum``, ``call:incr``, ``move``."""
    expires: UnixSeconds
    """No longer included."""
    nonce: Annotated[bytes, Meta(min_length=GRANT_NONCE_BYTES, max_length=GRANT_NONCE_BYTES)]
    """Makes every link one of its own, to be revoked alone."""
    account: OptionalName = ""
    """Whose rights it draws on, as they are when it is used; in the first link only."""
    to: Destinations | None = None
    """Keys of the domains to which ``move`` may take an object."""


class Scope(NamedTuple):
    """What a chain of grants allows; ``None`` stands for everything."""

    objects: frozenset[bytes] | None = None
    operations: frozenset[str] | None = None
    to: frozenset[bytes] | None = None
    expires: int = FOREVER

    def allows(self, object_id: bytes, operation: str) -> bool:
        """True when the operation on this object is within the scope."""
        return self.allows_operation(operation) and self.names(object_id)

    def allows_operation(self, operation: str) -> bool:
        """True when the operation is within the scope, on some objects."""
        return self.operations is None or operation in self.operations

    def names(self, name: bytes) -> bool:
        """True when an object, or all objects of a session, are within the scope."""
        return self.objects is None or name in self.objects or name[:PREFIX_BYTES] in self.objects

    def allows_to(self, destination: bytes) -> bool:
        """True when objects may move to the domain of this key."""
        return self.to is None or destination in self.to

    def narrowed(self, grant: Grant) -> Self | None:
        """The scope of the next link; None when that would be wider in any way."""
        objects = self.objects if grant.objects is None else frozenset(grant.objects)
        operations = self.operations if grant.operations is None else frozenset(grant.operations)
        to = self.to if grant.to is None else frozenset(grant.to)
        if (
            grant.expires > self.expires
            or not all(map(self.names, objects or ()))
            or not _is_within(operations, self.operations)
            or not _is_within(to, self.to)
        ):
            return None
        return self._replace(objects=objects, operations=operations, to=to, expires=grant.expires)


def _is_within(part: frozenset[Item] | None, whole: frozenset[Item] | None) -> bool:
    return whole is None or (part is not None and part <= whole)
