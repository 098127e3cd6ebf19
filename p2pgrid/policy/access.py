"""Who may take what home.

A dataset names the accounts that may ``get`` it. An object that was computed carries the datasets
it derives from, its *sources*; taking it home needs the permission of every one of them. Owners
may take everything. Any enrolled account may compute; nobody may change a dataset by computing.
"""

from collections.abc import Container, Mapping
from typing import NamedTuple

from typing_extensions import override

from p2pgrid.errors import GetNotPermittedError, PermissionDeniedError
from p2pgrid.ids import DatasetId, ObjectId, short
from p2pgrid.protocol.messages import Account
from p2pgrid.protocol.operations import ArrayMeta

Sources = frozenset[DatasetId]
Names = Container[str]
"""Of accounts."""
Allowed = Mapping[DatasetId, Names]


class _Everybody(Container[str]):
    @override
    def __contains__(self, _: object) -> bool:
        return True


EVERYBODY: Names = _Everybody()
"""Every account there is or will be: for a dataset that its owner calls not private."""


class Label(NamedTuple):
    """What the gateway knows of an object: public metadata and where it comes from."""

    meta: ArrayMeta
    sources: Sources
    borrowed: bool
    """True when its values lie inside a dataset, so that the object takes no memory."""


def may_get(account: Account, sources: Sources, allowed: Allowed) -> bool:
    """True when every source allows this account; a source that is not known allows nobody."""
    if account.role == "owner":
        return True
    return bool(sources) and all(account.name in allowed.get(s, ()) for s in sources)


def require_get(
    account: Account, object_id: ObjectId, sources: Sources, allowed: Allowed, *, domain: str
) -> None:
    """Refuses what ``may_get`` does not allow.

    Raises:
        GetNotPermittedError: with the object and the domain, and nothing about the values.
    """
    if not may_get(account, sources, allowed):
        raise GetNotPermittedError(object_id=short(object_id), domain=domain)


def require_owner(account: Account | None, *, action: str, domain: str) -> Account:
    """The account, when it is an owner.

    Raises:
        PermissionDeniedError: nobody is logged in, or somebody else.
    """
    if account is None or account.role != "owner":
        raise PermissionDeniedError(action=action, domain=domain)
    return account
