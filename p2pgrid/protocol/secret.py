"""Bytes that must not be seen: seeds, passphrases, files that hold them."""

import hmac
from collections.abc import Callable
from typing import Never, SupportsIndex, final

from typing_extensions import override

MASK = "<secret>"


@final
class Secret:
    """Bytes that only ``reveal()`` gives away.

    Every text form is ``<secret>``; equality takes constant time for values of one length;
    copying, pickling and hashing are refused.
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: bytes) -> None:
        # A closure and not an attribute: debuggers and ``rich.inspect`` print attributes.
        self._reveal: Callable[[], bytes] = lambda: value

    def reveal(self) -> bytes:
        """The bytes; give them straight to their use, and keep them in no variable."""
        return self._reveal()

    @override
    def __repr__(self) -> str:
        return MASK

    @override
    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.reveal(), other.reveal())

    __hash__ = None  # type: ignore[assignment]

    @override
    def __reduce_ex__(self, protocol: SupportsIndex) -> Never:
        raise TypeError("a secret is neither copied nor pickled; pass the object itself")

    @override
    def __getstate__(self) -> Never:
        raise TypeError("a secret has no state to show; use reveal()")
