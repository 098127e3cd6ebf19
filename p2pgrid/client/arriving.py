"""Pointers of one domain that are given to an actor of another one."""

from p2pgrid.client.handle import Handle
from p2pgrid.client.home import Home
from p2pgrid.errors import ForeignPointerError
from p2pgrid.protocol.values import Arriving


def arriving(handle: Handle, at: Home) -> Arriving:
    """What stands for an object of another domain in a call at this one.

    Raises:
        ForeignPointerError: objects do not move.
    """
    raise ForeignPointerError(left=at.name, right=handle._domain.name)
