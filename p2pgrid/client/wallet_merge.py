"""Keys of one wallet come into another, and none is overwritten unless somebody says so."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from p2pgrid.client.wallet_keys import WalletKey
from p2pgrid.errors import WalletConflictError

Conflicts = Literal["refuse", "keep", "replace"]
"""What becomes of a place for which both wallets have a key, and not the same: nothing at all is
imported, ours stays, or ours is replaced."""


class Imported(NamedTuple):
    """What became of the keys in a file: so many were new, here already, kept out, or replaced."""

    added: int
    known: int
    kept: int
    replaced: int


def merged(
    own: Sequence[WalletKey], coming: Sequence[WalletKey], conflicts: Conflicts
) -> tuple[tuple[WalletKey, ...], Imported]:
    """All keys after an import, ours first and in their order.

    Raises:
        WalletConflictError: there are conflicts, and they are to be refused.
    """
    places = {key.place: key for key in own}
    public_keys = {key.public_key for key in own}
    new = [key for key in coming if key.public_key not in public_keys]
    clashing = [key for key in new if key.place in places]
    if clashing and conflicts == "refuse":
        first = clashing[0]
        raise WalletConflictError(
            conflicts=len(clashing), keys=len(coming), first=first.name or first.domain
        )
    taken = [key for key in new if conflicts == "replace" or key.place not in places]
    places.update({key.place: key for key in taken})
    counts = Imported(
        added=len(new) - len(clashing),
        known=len(coming) - len(new),
        kept=len(clashing) if conflicts == "keep" else 0,
        replaced=len(clashing) if conflicts == "replace" else 0,
    )
    return tuple(places.values()), counts
