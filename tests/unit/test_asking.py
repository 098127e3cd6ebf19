"""Asking several peers: what is believed, how long it takes, what is said of the rest."""

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import cast

import pytest

from p2pgrid.client import asking
from p2pgrid.client.asking import Asked, Inquiry, ask_all, newest
from p2pgrid.config import DEFAULT_LIMITS
from p2pgrid.errors import BusyError, NetworkUnreachableError, RemoteProtocolError
from p2pgrid.net.link import Link, Reply
from p2pgrid.protocol.counts import Counts
from p2pgrid.protocol.messages import Found, Message
from p2pgrid.protocol.queries import query_of
from tests.unit.hits import DAY_S, LATER, record, signed

COVID = query_of("covid")


class Registry:
    """The far end of a link: gives pages in their order, and notes what it was asked."""

    def __init__(self, *pages: Found) -> None:
        self.pages = list(pages)
        self.questions: list[Message] = []

    def request(self, message: Message, *_: object, timeout_s: float) -> "Future[Reply]":
        assert 0 < timeout_s <= 60
        self.questions.append(message)
        future: Future[Reply] = Future()
        future.set_result(Reply(self.pages.pop(0), ()))
        return future


def network(name: str, *pages: Found) -> Asked:
    return Asked(name, lambda: cast(Link, Registry(*pages)), signer=None)


def unreachable(name: str) -> Asked:
    def link() -> Link:
        raise NetworkUnreachableError(peer=name, addresses=1, reason="refused")

    return Asked(name, link, signer=None)


def search(*asked: Asked, pages: int = 32) -> list[Inquiry]:
    limits = dataclasses.replace(DEFAULT_LIMITS, search_pages=pages)
    return ask_all(asked, COVID, limits=limits, within_s=60)


def one(asked: Asked, pages: int = 32) -> Inquiry:
    (inquiry,) = search(asked, pages=pages)
    return inquiry
