"""XSalsa20: Salsa20 with a nonce of 24 bytes, long enough to be drawn by chance for ever.

No library of ours offers it as a stream. HSalsa20 derives a key from the first 16 bytes of the
nonce, once per stream; all else is Salsa20 with that key and the other 8 bytes. Nothing here tells
whether a byte was changed: what goes through carries its own proof (noise).

Source: Bernstein 2008, "Extending the Salsa20 nonce".
"""

import struct

from Crypto.Cipher import Salsa20

from p2pgrid.protocol.secret import Secret

NONCE_BYTES = 24
_CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")
_WORD = 0xFFFFFFFF
# A column and then a row of the 4 x 4 state, four times each: the places of a quarter round.
_QUARTERS = (
    (0, 4, 8, 12),
    (5, 9, 13, 1),
    (10, 14, 2, 6),
    (15, 3, 7, 11),
    (0, 1, 2, 3),
    (5, 6, 7, 4),
    (10, 11, 8, 9),
    (15, 12, 13, 14),
)


def keystream(key: Secret, nonce: bytes) -> Salsa20.Salsa20Cipher:
    """A cipher whose ``encrypt`` goes on, call by call, where the last call ended.

    Args:
        key: 32 bytes.
        nonce: 24 bytes; never twice with one key.
    """
    return Salsa20.new(key=hsalsa20(key, nonce[:16]).reveal(), nonce=nonce[16:])


def hsalsa20(key: Secret, block: bytes) -> Secret:
    """32 bytes, derived from a key of 32 and a public block of 16."""
    secret, public = struct.unpack("<8I", key.reveal()), struct.unpack("<4I", block)
    one, two, three, four = _CONSTANTS
    state = [one, *secret[:4], two, *public, three, *secret[4:], four]
    for _ in range(10):
        for places in _QUARTERS:
            _quarter_round(state, *places)
    taken = (state[place] for place in (0, 5, 10, 15, 6, 7, 8, 9))
    return Secret(struct.pack("<8I", *taken))


def _quarter_round(state: list[int], a: int, b: int, c: int, d: int) -> None:
    state[b] ^= _rotated(state[a] + state[d], 7)
    state[c] ^= _rotated(state[b] + state[a], 9)
    state[d] ^= _rotated(state[c] + state[b], 13)
    state[a] ^= _rotated(state[d] + state[c], 18)


def _rotated(word: int, bits: int) -> int:
    word &= _WORD
    return (word << bits & _WORD) | word >> 32 - bits
