"""Tensors by the names of PySyft 0.2: what an owner prepares, and what a scientist gets.

torch is neither imported nor patched: ``private_tensor(tensor, ...)`` stands for the method
``tensor.private_tensor(...)``, and takes what numpy can read, tensors of torch among it.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import override

from p2pgrid.client import private_tensor as private_tensors
from p2pgrid.client.display import hashed
from p2pgrid.client.domain import DomainClient
from p2pgrid.client.pointer import TensorPointer
from p2pgrid.compat.nodes import DomainNode
from p2pgrid.protocol.text import cut, printable

DECIMALS = 4
"""Of a printed number, as in torch."""
NUMBERS = 10**11
"""Ids print as numbers below this."""


class PointerTensor(TensorPointer):
    """A pointer that prints as in PySyft; so do the pointers that are computed from it."""

    __slots__ = ()

    @classmethod
    def of(cls, pointer: TensorPointer) -> Self:
        """The same array of a dataset."""
        made = cls(pointer._domain, pointer._id, pointer._meta)
        for public in ("dataset", "described", "description", "tags"):
            setattr(made, public, getattr(pointer, public))
        return made

    @override
    def __repr__(self) -> str:
        remote = int.from_bytes(self._id) % NUMBERS
        place = f"me:{id(self) % NUMBERS} -> {printable(self._domain.name)}:{remote}"
        chain = f"(Wrapper)>[PointerTensor | {place}]"
        return chain + self._published() if self.dataset else chain

    def _published(self) -> str:
        first_line = self.description.partition("\n")[0]
        return (
            f"\n\tTags: {cut(hashed(self.tags))} "
            f"\n\tShape: torch.Size({list(self.shape)})"
            f"\n\tDescription: {cut(first_line)}..."
        )


class PrivateTensor(private_tensors.PrivateTensor):
    """A tensor of an owner, before it is published; it prints its values, to its owner."""

    @override
    def send(self, domain: DomainNode | DomainClient, *, user: str | None = None) -> PointerTensor:
        """Publishes it; see ``p2pgrid.client.private_tensor.PrivateTensor.send``."""
        client = domain.client if isinstance(domain, DomainNode) else domain
        return PointerTensor.of(super().send(client, user=user))

    @override
    def __repr__(self) -> str:
        values = np.array2string(
            self.values, separator=", ", prefix="tensor(", precision=DECIMALS, floatmode="fixed"
        )
        return f"(Wrapper)>PrivateTensor>tensor({values})"


def private_tensor(tensor: ArrayLike, allowed_users: str | Sequence[str] = ()) -> PrivateTensor:
    """A copy of a tensor that only some people may take home.

    Args:
        tensor: of any shape; bool, integer or float.
        allowed_users: names of accounts; a text is one name. Empty: nobody but owners.
    """
    return PrivateTensor(tensor, allowed_users)
