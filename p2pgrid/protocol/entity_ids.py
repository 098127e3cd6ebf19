"""Public ids of entities: a person keeps hers at one domain, and it does not tell who that is.

An owner's program makes them, of the keys by which the owner knows people and of a secret of the
domain: so keys are sent to nobody, uploads of all owners agree, and ids of two domains have nothing
in common.

Trust: whoever has the secret, which is every owner, can tell whether a person he can name is among
the entities. The secret is made of the domain's key and lives as long.
"""

from collections.abc import Iterable
from hashlib import blake2b

from p2pgrid.protocol.budgets import ENTITY_ID_BYTES
from p2pgrid.protocol.ownership import Key

SECRET_BYTES = 32
SECRET_SEPARATION = b"p2pgrid/entities/1\0"


def entity_secret(seed: bytes) -> bytes:
    """The secret of a domain.

    Args:
        seed: of the domain's key, 32 bytes.
    """
    return blake2b(SECRET_SEPARATION, key=seed, digest_size=SECRET_BYTES).digest()


def entity_ids(keys: Iterable[Key], secret: bytes) -> bytes:
    """The ids of entities, one after the other; a number is who its digits are."""
    return b"".join(
        blake2b(str(key).encode(), key=secret, digest_size=ENTITY_ID_BYTES).digest() for key in keys
    )
