"""Whatever the bytes, a target holds its invariant: in little memory, and in time."""

import itertools
import logging
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings, strategies as st

from tests.fuzz.mutation import CLAIMS, MAX_BYTES, MAX_TIMES, TOKENS, hostile
from tests.fuzz.targets import TARGETS, kept

MEMORY_PER_BYTE = 128
"""Python objects of one byte of input: a row of empty tuples and dictionaries."""
CPU_S = 3.0
"""For 1 MiB of anything; what takes the square of it would take hours."""
PLACES = 10
EXAMPLES = max(10, settings().max_examples // 4)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The owner's log has each of thousands of refusals."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_its_seeds_and_its_corpus(name: str) -> None:
    target = TARGETS[name]
    for data in (*target.seeds(), *kept(name)):
        target.run(data)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_hostile_bytes_are_a_value_or_a_typed_error(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    target.run(data.draw(hostile([*target.seeds(), *kept(name)])))


@pytest.mark.parametrize("name", TARGETS)
def test_a_huge_claim_anywhere_takes_no_memory(name: str) -> None:
    target = TARGETS[name]
    seed = min(target.seeds(), key=len)
    places = range(0, len(seed), 1 + len(seed) // PLACES)
    tracemalloc.start()
    try:
        for at, claim in itertools.product(places, CLAIMS):
            data = seed[:at] + claim + seed[at + 1 :]
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            target.run(data)
            _, peak = tracemalloc.get_traced_memory()
            assert peak - before < target.claim_bytes + MEMORY_PER_BYTE * len(data)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", TARGETS)
def test_a_mebibyte_of_anything_is_read_in_time(name: str) -> None:
    target = TARGETS[name]
    heads = (b"", *(seed[: len(seed) // 2] for seed in target.seeds()))
    for token in TOKENS:
        for head in heads[:3]:
            data = (head + token * (MAX_BYTES // len(token)))[:MAX_BYTES]
            began = time.process_time()
            target.run(data)
            assert time.process_time() - began < CPU_S, token


@pytest.mark.parametrize("name", TARGETS)
def test_deep_nests_anywhere_are_refused(name: str) -> None:
    target = TARGETS[name]
    for seed in target.seeds():
        for at in range(0, len(seed), 1 + len(seed) // PLACES):
            for nest in (b"\x91", b"\x81\xa1x", b"[", b'{"x":', b"\x0b"):
                target.run(seed[:at] + nest * MAX_TIMES + seed[at:])
