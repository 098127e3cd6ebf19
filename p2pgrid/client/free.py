"""Letting go of results before the garbage collector does."""

from p2pgrid.client.pointer import TensorPointer
from p2pgrid.client.session import Session
from p2pgrid.errors import ObjectGoneError, UnsupportedRemoteOpError
from p2pgrid.ids import ObjectId


def free(*pointers: TensorPointer) -> None:
    """Lets go of results at their domains, which have freed them when this returns.

    A freed pointer raises ``ObjectGoneError`` when it is used; freeing it again changes nothing.
    What was computed from it stays. The data of an owner is never freed from here.

    Args:
        pointers: results of operations, of one domain or several.

    Raises:
        UnsupportedRemoteOpError: one is a dataset's own array; nothing was freed.
        TransportError: a domain did not answer; it lets go later, with the next operations or
            when the lease ends.
    """
    if any(pointer._batch is None for pointer in pointers):
        raise UnsupportedRemoteOpError(operation="free() of a dataset", nearest="del")
    by_session: dict[Session, list[ObjectId]] = {}
    for pointer in pointers:
        if (session := _holder_of(pointer)) is not None:
            by_session.setdefault(session, []).append(pointer._id)
    for pointer in pointers:
        pointer._let_go()
    batches = [(session, session.free_now(ids)) for session, ids in by_session.items()]
    for session, batch in batches:
        session.wait(batch)
        if batch.error is not None:
            raise batch.error


def _holder_of(pointer: TensorPointer) -> Session | None:
    """The open session that holds the object; None when it is gone already."""
    if pointer._session is None:
        return None
    try:
        return pointer._domain.session_for((pointer._session,))
    except ObjectGoneError:
        return None
