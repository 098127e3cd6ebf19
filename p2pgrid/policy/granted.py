"""The objects of a session that a capability opened: its own results, and what it names.

Rule 1: every operation has to be among those of the capability.
Rule 2: operands are the session's own results, tensors of datasets within the capability, and
results of the account's other sessions that the capability names one by one, or by their prefix.
Rule 3: who takes values home needs the operation ``get``, also for own results; policy decides
after that, as for everybody.
"""

from collections.abc import Callable, Mapping, Sequence

from typing_extensions import override

from p2pgrid.config import Limits
from p2pgrid.errors import CapabilityError
from p2pgrid.ids import ObjectId
from p2pgrid.policy.access import Label
from p2pgrid.policy.objects import PREFIX_BYTES, SessionObjects
from p2pgrid.protocol.messages import Failure, Op
from p2pgrid.protocol.rights import Rights

LentBy = Callable[[str, bytes], SessionObjects | None]
"""The objects of the session of a prefix, when the account's own key opened it."""


class GrantedObjects(SessionObjects):
    """Labels of the objects that a capability reaches; see the rules at the head of the module."""

    def __init__(
        self,
        prefix: bytes,
        catalog: Mapping[ObjectId, Label],
        *,
        rights: Rights,
        lent_by: LentBy,
        limits: Limits,
        domain: str,
    ) -> None:
        super().__init__(prefix, catalog, limits=limits, domain=domain)
        self._rights, self._lent_by = rights, lent_by

    @override
    def require(self, object_id: bytes, operation: str) -> None:
        if object_id[:PREFIX_BYTES] == self.prefix:
            allowed = self._rights.scope.allows_operation(operation)
        else:
            allowed = self._rights.allows(object_id, operation)
        if not allowed:
            raise CapabilityError(reason="scope", domain=self._rights.domain)

    @override
    def find(self, object_id: bytes) -> Label:
        lender = self.home_of(object_id)
        return super().find(object_id) if lender is None else lender.find(object_id)

    @override
    def first_failure(self, op: Op) -> Failure | None:
        named = [operand for operand in op.inputs if isinstance(operand, bytes)]
        lent = ((self.home_of(object_id), object_id) for object_id in named)
        failures = (
            lender.failure_of(object_id) for lender, object_id in lent if lender is not None
        )
        return super().first_failure(op) or next(filter(None, failures), None)

    @override
    def _label_of(self, op: Op, buffer_sizes: Sequence[int]) -> Label:
        for operand in op.inputs:
            if isinstance(operand, bytes):
                self.require(operand, op.name)
        return super()._label_of(op, buffer_sizes)

    @override
    def home_of(self, object_id: bytes) -> SessionObjects | None:
        """The session of the account that has an object which the capability names."""
        scope = self._rights.scope
        if scope.objects is None or not scope.names(object_id):
            return None
        return self._lent_by(self._rights.account, object_id[:PREFIX_BYTES])
