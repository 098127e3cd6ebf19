"""Hostile bytes made from valid ones: flipped, cut, repeated, nested, spliced, full of claims.

The same steps serve hypothesis, which draws and shrinks them, and atheris, which draws them at
random between its own.
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

MAX_BYTES = 1 << 20
MAX_TIMES = 3000
"""More than Python's limit of nested calls, which is what a decoder's own limit should be."""

CLAIMS = (
    *(b"\xff" * 4, b"\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x0f"),  # little-endian, varint
    *(b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"),
    b"\x0a\xff\xff\xff\x7f",  # a field of protobuf
)

TOKENS = (
    *CLAIMS,
    *(bytes([byte]) for byte in (0, 1, 0x7F, 0x80, 0xFF)),
    *(b"\0\0\0\x80", b"\xff" * 8),
    # MessagePack: nests, extremes, extension, a byte that is never used.
    *(b"\x91", b"\x81\xa1x", b"\x90", b"\xc0", b"\xc1", b"\xc4\xff", b"\xd4\x01\x02"),
    *(b"\xcf" + b"\xff" * 8, b"\xd3\x80" + bytes(7), b"\xcb\x7f\xf0" + bytes(6)),
    # JSON: nests, extremes, a lone surrogate, broken UTF-8.
    *(b"[", b'{"x":', b"]", b"}", b"null", b"-1", b"1e999", b"1" * 400, b'"\\ud800"', b'"\xff"'),
    # Protobuf and multiformats: groups, endless varints, a peer id.
    *(b"\x0b", b"\x80" * 11, b"\xa5\x03\x22"),
)


class Step(NamedTuple):
    """``size`` bytes at ``at``, a fraction of the length, become ``put``, ``times`` times."""

    at: float
    size: int
    put: bytes
    times: int


def mutated(data: bytes, steps: Sequence[Step]) -> bytes:
    """The bytes after all steps; an empty ``put`` stands for the bytes at that place."""
    for at, size, put, times in steps:
        start = int(at * len(data))
        new = (put or data[start : start + size]) * times
        data = (data[:start] + new + data[start + size :])[:MAX_BYTES]
    return data


def hostile(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Random bytes, and valid ones after some steps."""
    times = st.one_of(st.integers(0, 3), st.sampled_from([100, MAX_TIMES]))
    put = st.one_of(st.sampled_from(TOKENS), st.sampled_from(seeds), st.binary(max_size=16))
    step = st.builds(Step, st.floats(0, 1), st.integers(0, 64), put | st.just(b""), times)
    broken = st.builds(mutated, st.sampled_from(seeds), st.lists(step, min_size=1, max_size=5))
    return st.one_of(st.binary(max_size=256), broken)


def mutate(data: bytes, seeds: Sequence[bytes], chance: Random) -> bytes:
    """One random step."""
    put = chance.choice([b"", chance.choice(TOKENS), chance.choice(seeds), chance.randbytes(8)])
    times = chance.choice([0, 1, 1, 1, 2, 3, 100, MAX_TIMES])
    return mutated(data, [Step(chance.random(), chance.choice([0, 1, 4, 16, 64]), put, times)])
