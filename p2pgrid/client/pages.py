"""Reading an answer that may have several pages."""

from collections.abc import Callable, Iterator

import msgspec

from p2pgrid.errors import RemoteProtocolError
from p2pgrid.net.calls import ask
from p2pgrid.net.link import Link
from p2pgrid.protocol.messages import Found, ListDatasets, Search


def pages_of(
    link: Link,
    question: Search | ListDatasets,
    *,
    most: int,
    left_s: Callable[[], float | None] = lambda: None,
) -> Iterator[Found]:
    """One page after the other; the last has a ``next`` if there are more than were taken.

    Args:
        link: to a network or a domain.
        question: what it is asked.
        most: pages that are taken: whoever answers decides how much comes, we when it is enough.
        left_s: seconds that the next page may take; default: those of the link.

    Raises:
        P2PGridError: see ``ask``.
        RemoteProtocolError: the pages go round in a circle.
    """
    place = 0
    for _ in range(most):
        asked = msgspec.structs.replace(question, after=place)
        page = ask(link, asked, Found, timeout_s=left_s())
        if page.next and page.next <= place:
            raise RemoteProtocolError(f"after place {place} of an answer comes {page.next}")
        yield page
        place = page.next
        if not place:
            return
