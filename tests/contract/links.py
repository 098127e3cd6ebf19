"""A link, or two, and what tests ask of them."""

from collections.abc import AsyncIterator, Iterable
from concurrent.futures import Future
from contextlib import asynccontextmanager

import trio

from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from p2pgrid.errors import P2PGridError
from p2pgrid.net.link import Inbound, Link, OnRequest, Reply
from p2pgrid.net.transport import FrameStream
from p2pgrid.protocol.messages import Search
from p2pgrid.protocol.queries import Query
from tests.contract.worlds import DAY_S, RawPeer, World, streams

PATIENT = Timing(request_s=DAY_S)
UNHURRIED = Timing(request_s=DAY_S, ping_every_s=2 * DAY_S, silent_after_s=2 * DAY_S)
"""For peers that a test plays: without it, their silence would end the link in the end."""


def question(number: int) -> Search:
    return Search(Query(exact_tags=(str(number),)))


def number_in(message: object) -> int:
    assert isinstance(message, Search)
    return int(message.query.exact_tags[0])


def echo(inbound: Inbound) -> None:
    inbound.answer(inbound.message, inbound.buffers)


def ignore(_: Inbound) -> None:
    """Never answers."""


async def outcome(future: Future[Reply]) -> Reply | P2PGridError:
    """What became of a request; waits for it in trio."""
    done = trio.Event()
    future.add_done_callback(lambda _: done.set())  # called in the network thread
    await done.wait()
    error = future.exception()
    if error is None:
        return future.result()
    assert isinstance(error, P2PGridError)
    return error


async def replies_to(futures: Iterable[Future[Reply]]) -> list[Reply]:
    """The answers to requests of which none may fail."""
    replies = []
    for future in futures:
        result = await outcome(future)
        assert isinstance(result, Reply)
        replies.append(result)
    return replies


async def outcomes(futures: Iterable[Future[Reply]]) -> list[Reply | P2PGridError]:
    return [await outcome(future) for future in futures]


def are_all(kind: type[Reply | P2PGridError], results: Iterable[object]) -> bool:
    return all(isinstance(result, kind) for result in results)


@asynccontextmanager
async def running(
    stream: FrameStream,
    on_request: OnRequest,
    *,
    dialled: bool = True,
    limits: Limits = DEFAULT_LIMITS,
    timing: Timing = DEFAULT_TIMING,
) -> AsyncIterator[Link]:
    """A link over one end of a stream; closed at the end, if it is not over by then."""
    link = Link(stream, dialled=dialled, limits=limits, timing=timing, on_request=on_request)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        yield link
        link.close("the test is over")


@asynccontextmanager
async def linked(
    world: World,
    near_answers: OnRequest = ignore,
    far_answers: OnRequest = echo,
    *,
    limits: Limits = DEFAULT_LIMITS,
    timing: Timing = DEFAULT_TIMING,
) -> AsyncIterator[tuple[Link, Link]]:
    """Links over both ends of a stream."""
    async with (
        streams(world) as (one, two),
        running(one, near_answers, limits=limits, timing=timing) as near,
        running(two, far_answers, dialled=False, limits=limits, timing=timing) as far,
    ):
        yield near, far


@asynccontextmanager
async def against_raw(
    world: World,
    on_request: OnRequest = echo,
    *,
    limits: Limits = DEFAULT_LIMITS,
    timing: Timing = UNHURRIED,
) -> AsyncIterator[tuple[Link, RawPeer]]:
    """A node's end of a link, as yet without login, and a peer that obeys only the test."""
    async with (
        streams(world) as (one, two),
        running(two, on_request, dialled=False, limits=limits, timing=timing) as link,
    ):
        yield link, RawPeer(one)
