"""The one table of what a remote person may read of an error.

An error crosses the border as its code and the public fields listed here; the text is made again
on the other side by the class itself. Whatever is not in the table becomes ``internal`` with a
random reference, and its text stays in the owner's log.
"""

from p2pgrid import errors
from p2pgrid.errors import InternalError, P2PGridError
from p2pgrid.protocol.messages import Failure

PUBLIC_FIELDS: dict[type[P2PGridError], tuple[str, ...]] = {
    errors.BusyError: ("limit",),
    errors.UnavailableError: ("domain",),
    errors.RegistryFullError: ("what", "needed", "limit"),
    errors.DiskFullError: ("needed", "free"),
    errors.AuthenticationError: ("domain",),
    errors.GetNotPermittedError: ("object_id", "domain"),
    errors.PublishNotPermittedError: ("domain",),
    errors.PermissionDeniedError: ("action", "domain"),
    errors.MoveNotPermittedError: ("object_id", "domain", "to"),
    errors.AccountExistsError: ("name", "domain"),
    errors.SignupClosedError: ("domain",),
    errors.TooManyAttemptsError: ("domain", "wait_s"),
    errors.SetupTokenError: ("domain",),
    errors.CapabilityError: ("reason", "domain"),
    errors.ShapeError: ("operation", "shapes"),
    errors.DtypeError: ("operation", "dtypes"),
    errors.RemoteIndexError: ("index", "shape"),
    errors.TooLargeError: ("what", "size", "limit"),
    errors.DuplicateError: ("what", "name"),
    errors.SchemaError: ("field", "problem"),
    errors.SchemaMismatchError: ("where", "column", "found", "expected"),
    errors.UnfitValuesError: ("what", "problem"),
    errors.ArgumentError: ("call", "problem"),
    errors.InvalidQueryError: ("form", "problem"),
    errors.UnsupportedRemoteOpError: ("operation", "nearest"),
    errors.ObjectGoneError: ("object_id", "domain"),
    errors.QuotaExceededError: ("what", "needed", "limit"),
    errors.TaskError: ("call", "reference"),
    errors.ActorDiedError: ("actor", "reason"),
    errors.ActorUnavailableError: ("actor",),
    errors.TaskCancelledError: ("call",),
    errors.MoveFailedError: ("object_id", "domain", "to", "reason"),
    errors.ActorUnschedulableError: ("resource", "asked", "available"),
}
"""Errors that a remote person may learn of, with the fields that are told: public metadata only."""

_BY_CODE = {cls.code: cls for cls in PUBLIC_FIELDS}
_TEXT_LIMIT = 400
_NUMBER_LIMIT = 2**63 - 1  # of MessagePack


def is_public(error: BaseException) -> bool:
    """True when the table lets a remote person learn of this error."""
    return type(error) in PUBLIC_FIELDS


def failure_of(error: P2PGridError) -> Failure:
    """What is sent for an error of the table."""
    fields = {name: _clip(getattr(error, name)) for name in PUBLIC_FIELDS[type(error)]}
    return Failure(code=error.code, fields=fields)


def internal(reference: str) -> Failure:
    """What is sent for everything else."""
    return Failure(code=InternalError.code, fields={"reference": reference})


def error_of(failure: Failure) -> P2PGridError:
    """The error that a peer's failure stands for; an unknown one is an ``InternalError``."""
    cls = _BY_CODE.get(failure.code)
    if cls is None or set(failure.fields) != set(PUBLIC_FIELDS[cls]):
        return InternalError(reference=str(failure.fields.get("reference", "unknown"))[:40])
    try:
        return cls(**failure.fields)
    except (TypeError, ValueError):  # the peer sent a field of another type than the text needs
        return InternalError(reference="unknown")


def _clip(value: object) -> str | int | float:
    if isinstance(value, int):
        return max(-_NUMBER_LIMIT, min(value, _NUMBER_LIMIT))
    return value if isinstance(value, float) else str(value)[:_TEXT_LIMIT]
