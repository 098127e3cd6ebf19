"""Python's operators on pointers: each is an operation of the registry."""

from abc import ABC, abstractmethod
from typing import Any, Self

from typing_extensions import override

# An operand is a pointer of the same domain, a number, or an array, which travels there.


class Operators(ABC):
    """What ``+``, ``<`` and the like mean for a handle that can apply operations by name."""

    __slots__ = ()

    @abstractmethod
    def _apply(self, name: str, operands: tuple[Any, ...]) -> Self:
        """The result of an operation."""

    @abstractmethod
    def _apply_in_place(self, name: str, other: Any) -> Self:
        """This handle, which points to the result from now on."""

    def __add__(self, other: Any) -> Self:
        return self._apply("add", (self, other))

    def __radd__(self, other: Any) -> Self:
        return self._apply("add", (other, self))

    def __iadd__(self, other: Any) -> Self:
        return self._apply_in_place("add", other)

    def __sub__(self, other: Any) -> Self:
        return self._apply("subtract", (self, other))

    def __rsub__(self, other: Any) -> Self:
        return self._apply("subtract", (other, self))

    def __isub__(self, other: Any) -> Self:
        return self._apply_in_place("subtract", other)

    def __mul__(self, other: Any) -> Self:
        return self._apply("multiply", (self, other))

    def __rmul__(self, other: Any) -> Self:
        return self._apply("multiply", (other, self))

    def __imul__(self, other: Any) -> Self:
        return self._apply_in_place("multiply", other)

    def __truediv__(self, other: Any) -> Self:
        return self._apply("divide", (self, other))

    def __rtruediv__(self, other: Any) -> Self:
        return self._apply("divide", (other, self))

    def __itruediv__(self, other: Any) -> Self:
        return self._apply_in_place("divide", other)

    def __floordiv__(self, other: Any) -> Self:
        return self._apply("floor_divide", (self, other))

    def __rfloordiv__(self, other: Any) -> Self:
        return self._apply("floor_divide", (other, self))

    def __ifloordiv__(self, other: Any) -> Self:
        return self._apply_in_place("floor_divide", other)

    def __mod__(self, other: Any) -> Self:
        return self._apply("remainder", (self, other))

    def __rmod__(self, other: Any) -> Self:
        return self._apply("remainder", (other, self))

    def __imod__(self, other: Any) -> Self:
        return self._apply_in_place("remainder", other)

    def __pow__(self, other: Any) -> Self:
        return self._apply("power", (self, other))

    def __rpow__(self, other: Any) -> Self:
        return self._apply("power", (other, self))

    def __ipow__(self, other: Any) -> Self:
        return self._apply_in_place("power", other)

    def __matmul__(self, other: Any) -> Self:
        return self._apply("matmul", (self, other))

    def __rmatmul__(self, other: Any) -> Self:
        return self._apply("matmul", (other, self))

    def __imatmul__(self, other: Any) -> Self:
        return self._apply_in_place("matmul", other)

    def __and__(self, other: Any) -> Self:
        return self._apply("bitwise_and", (self, other))

    def __rand__(self, other: Any) -> Self:
        return self._apply("bitwise_and", (other, self))

    def __iand__(self, other: Any) -> Self:
        return self._apply_in_place("bitwise_and", other)

    def __or__(self, other: Any) -> Self:
        return self._apply("bitwise_or", (self, other))

    def __ror__(self, other: Any) -> Self:
        return self._apply("bitwise_or", (other, self))

    def __ior__(self, other: Any) -> Self:
        return self._apply_in_place("bitwise_or", other)

    def __xor__(self, other: Any) -> Self:
        return self._apply("bitwise_xor", (self, other))

    def __rxor__(self, other: Any) -> Self:
        return self._apply("bitwise_xor", (other, self))

    def __ixor__(self, other: Any) -> Self:
        return self._apply_in_place("bitwise_xor", other)

    def __lt__(self, other: Any) -> Self:
        return self._apply("less", (self, other))

    def __le__(self, other: Any) -> Self:
        return self._apply("less_equal", (self, other))

    def __gt__(self, other: Any) -> Self:
        return self._apply("greater", (self, other))

    def __ge__(self, other: Any) -> Self:
        return self._apply("greater_equal", (self, other))

    @override
    def __eq__(self, other: object) -> Self:  # type: ignore[override]
        return self._apply("equal", (self, other))

    @override
    def __ne__(self, other: object) -> Self:  # type: ignore[override]
        return self._apply("not_equal", (self, other))

    # Elements are compared, but handles are hashed: each is a key of its own, as torch's tensors.
    __hash__ = object.__hash__

    def __neg__(self) -> Self:
        return self._apply("negative", (self,))

    def __pos__(self) -> Self:
        return self._apply("positive", (self,))

    def __abs__(self) -> Self:
        return self._apply("absolute", (self,))

    def __invert__(self) -> Self:
        return self._apply("invert", (self,))
