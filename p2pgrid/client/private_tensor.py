"""A tensor while its owner prepares it to be published alone, as a dataset of one tensor."""

import secrets
from collections.abc import Sequence
from typing import Self

from numpy.typing import ArrayLike
from typing_extensions import override

from p2pgrid.client.display import Display, Displayed
from p2pgrid.client.domain import DomainClient
from p2pgrid.client.pointer import TensorPointer
from p2pgrid.client.sources import plain_array
from p2pgrid.protocol.arrays import dtype_named


class PrivateTensor(Displayed):
    """A copy of an owner's values, and what will be said about them; see ``private_tensor``.

    Nothing has left this program before ``send``. The values are private: no repr shows them.
    """

    def __init__(self, tensor: ArrayLike, allowed_users: str | Sequence[str]) -> None:
        self.values = plain_array("tensor", tensor).copy()
        dtype_named(self.values.dtype.name)
        self.allowed_users = allowed_users
        self.tags: tuple[str, ...] = ()
        self.description = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """As it was given, and as everybody will see it."""
        return self.values.shape

    def tag(self, *tags: str) -> Self:
        """Adds tags, by which others find it; gives the same tensor back."""
        self.tags += tags
        return self

    def describe(self, description: str) -> Self:
        """Says in public, verbatim, what it is; gives the same tensor back."""
        self.description = description
        return self

    def send(self, domain: DomainClient, *, user: str | None = None) -> TensorPointer:
        """Publishes it as a dataset of one tensor; durable and listed when this returns.

        Args:
            domain: where it is published; ``p2pgrid.connect(address)`` gives it.
            user: the owner, by a name of the wallet's keys for this domain. Default: the first.

        Returns:
            A pointer, which has the tags and the description.

        Raises:
            NoKeyError: the wallet has no key of this name.
            PublishNotPermittedError: this user is no owner of the domain.
            P2PGridError: see ``DomainClient.publish``.
        """
        dataset = domain.login(user).publish(
            f"tensor-{secrets.token_hex(4)}",
            self.values,
            description=self.description,
            tags=self.tags,
            allowed_users=self.allowed_users,
        )
        pointer: TensorPointer = dataset.pointers[0]
        return pointer

    @override
    def _display(self) -> Display:
        tags = "".join(f" {tag}" for tag in self.tags)
        return Display(f"PrivateTensor of shape {self.shape}, {self.values.dtype.name}{tags}")


def private_tensor(tensor: ArrayLike, allowed_users: str | Sequence[str] = ()) -> PrivateTensor:
    """A copy of a tensor, to be tagged, described and sent to a domain of yours.

    Args:
        tensor: of any shape: bool, integer or float; of numpy or torch, or nested lists.
        allowed_users: names of accounts that may take the values home; a text is one name. Empty:
            nobody but owners.

    Raises:
        SourceError, DtypeError: it is no array of numbers or truth values.
    """
    return PrivateTensor(tensor, allowed_users)
