"""One request and its answer, of the expected kind."""

from collections.abc import Sequence
from typing import TypeVar

from p2pgrid.errors import RemoteProtocolError
from p2pgrid.net.link import Link
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.messages import Begin, Challenge, Message, label_of

Expected = TypeVar("Expected", bound=Message)


def begin(link: Link, *, timeout_s: float | None = None) -> Challenge:
    """Asks who is there; from now on both ends call their requests the same in their logs.

    Raises:
        P2PGridError: see ``ask``.
    """
    challenge = ask(link, Begin(), Challenge, timeout_s=timeout_s)
    link.label = label_of(challenge.nonce)
    return challenge


def ask(
    link: Link,
    message: Message,
    expected: type[Expected],
    buffers: Sequence[Buffer] = (),
    *,
    timeout_s: float | None = None,
) -> Expected:
    """Sends a request and waits for the answer; it comes, or an error, by its deadline.

    Raises:
        P2PGridError: what the peer answered with, or what became of the link.
        RemoteProtocolError: the answer is of another kind.
    """
    return checked(link.request(message, buffers, timeout_s=timeout_s).result().message, expected)


def checked(answer: Message, expected: type[Expected]) -> Expected:
    """The answer.

    Raises:
        RemoteProtocolError: it is of another kind than was expected.
    """
    if not isinstance(answer, expected):
        raise RemoteProtocolError(
            f"expected {expected.__name__} from the peer, got {type(answer).__name__}"
        )
    return answer
