"""Handles from what others shared: the right is checked here, before anything is sent."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from p2pgrid.client.actor_pointer import ActorClass, ActorForm, ActorPointer
from p2pgrid.client.datasets import DatasetPointer
from p2pgrid.client.home import Home
from p2pgrid.client.login import Held
from p2pgrid.client.sharing import Shareable, Shared
from p2pgrid.client.splits import pointer_of
from p2pgrid.client.table_pointer import TableForm, TablePointer
from p2pgrid.client.wallet import Wallet
from p2pgrid.errors import CapabilityError, DtypeError, RemoteProtocolError
from p2pgrid.ids import ObjectId
from p2pgrid.protocol.capability import decode
from p2pgrid.protocol.malformed import MALFORMED
from p2pgrid.protocol.records import DatasetRecord, TensorInfo
from p2pgrid.protocol.rights import verify


class Accepted(NamedTuple):
    """What somebody gave to a key of this wallet."""

    shared: Shared
    held: Held


def read(text: str, wallet: Wallet) -> Accepted:
    """What a text gives, and to which of our keys.

    Raises:
        CapabilityError: it is not good, or for a key that is not in the wallet.
    """
    shared = Shared.read(text)
    capability = decode(shared.capability)
    rights = verify(shared.capability, domain=capability.domain, now=time.time())
    key = wallet.holder_of(rights.audience)
    if key is None:
        raise CapabilityError(reason="audience", domain=capability.domain)
    return Accepted(shared, Held(capability, key))


def handle_of(domain: Home, shared: Shared) -> Any:
    """The handle that was shared; what it says of itself are hints of whoever shared it.

    Raises:
        CapabilityError: "malformed".
    """
    try:
        return HANDLES[shared.kind](domain, shared.form)
    except (*MALFORMED, KeyError, DtypeError, RemoteProtocolError):
        raise CapabilityError(reason="malformed", domain=domain.peer_id) from None


def _tensor(domain: Home, form: bytes) -> Shareable:
    return pointer_of(domain, msgspec.msgpack.decode(form, type=TensorInfo))


def _table(domain: Home, form: bytes) -> Shareable:
    table = msgspec.msgpack.decode(form, type=TableForm)
    columns = {column.name: pointer_of(domain, column) for column in table.columns}
    mask = None if table.mask is None else pointer_of(domain, table.mask)
    return TablePointer(columns, mask=mask)


def _dataset(domain: Home, form: bytes) -> Shareable:
    return DatasetPointer(domain, msgspec.msgpack.decode(form, type=DatasetRecord))


def _actor(domain: Home, form: bytes) -> Shareable:
    actor = msgspec.msgpack.decode(form, type=ActorForm)
    return ActorPointer(domain, ObjectId(actor.object_id), ActorClass(actor.cls), None)


HANDLES: Mapping[str, Callable[[Home, bytes], Shareable]] = {
    "tensor": _tensor,
    "table": _table,
    "dataset": _dataset,
    "actor": _actor,
}
"""How a handle of each kind is made; the kind and the form are what its ``_grantable`` says."""
