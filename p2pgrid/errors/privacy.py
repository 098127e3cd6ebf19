"""Privacy budgets: use more noise, or ask for more."""

from p2pgrid.errors.base import P2PGridError


class BudgetError(P2PGridError):
    """A privacy budget does not allow this."""

    code = 500


class BudgetPolicyError(BudgetError, ValueError):
    """The numbers of a privacy budget contradict each other."""

    code = 501

    def __init__(self, *, field: str, value: float, limit: str, bound: float) -> None:
        super().__init__(
            f"{field} is {value:g}, but {limit} is {bound:g}; "
            "query_auto <= daily_auto <= user_lifetime <= lifetime, and none below 0"
        )
        self.field, self.value, self.limit, self.bound = field, value, limit, bound
