"""What is made of a password before anything leaves this program.

A domain gets a proof that is good for it alone, and only by argon2id: whoever runs it can neither
read the password nor use the proof at another domain where the same password was chosen.
"""

import unicodedata

from nacl.hashlib import blake2b
from nacl.pwhash import argon2id

from p2pgrid.errors import PasswordError
from p2pgrid.ids import PeerId
from p2pgrid.protocol.secret import Secret

MIN_CHARACTERS, MAX_BYTES = 8, 1024
PASSES, MEMORY, PROOF_BYTES = 2, 19 << 20, 32
"""Fixed for ever, or nobody could log in any more: 20 ms. The domain hashes the proof again."""
PURPOSE = b"p2pgrid/password"


def check_password(password: Secret) -> None:
    """Refuses what is no new password.

    Raises:
        PasswordError: fewer than 8 characters.
    """
    characters = len(password.reveal().decode())
    if characters < MIN_CHARACTERS:
        raise PasswordError(
            problem=f"the password has {characters} characters; take at least {MIN_CHARACTERS}"
        )


def in_one_form(password: Secret) -> Secret:
    """A password in the one form that it has on every keyboard: UTF-8, NFC.

    Raises:
        PasswordError: it is empty or longer than 1,024 bytes.
    """
    same = Secret(unicodedata.normalize("NFC", password.reveal().decode()).encode())
    size = len(same.reveal())
    if not 0 < size <= MAX_BYTES:
        raise PasswordError(problem=f"the password has {size:,} bytes; take 1 to {MAX_BYTES:,}")
    return same


def proof_of(password: Secret, *, domain: PeerId, account: str) -> Secret:
    """32 bytes that only somebody with the password can make, for this account of this domain."""
    place = f"{domain}/{account}".encode()
    salt = blake2b(place, digest_size=argon2id.SALTBYTES, person=PURPOSE).digest()
    return Secret(
        argon2id.kdf(PROOF_BYTES, password.reveal(), salt, opslimit=PASSES, memlimit=MEMORY)
    )
