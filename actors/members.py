"""Who has an account, as the gateway knows it: by key, and by name."""

import asyncio

from actors.ports import StatePort
from p2pgrid.protocol.messages import Account


class Members:
    """All accounts; to be used on the gateway's event loop, after ``load``.

    Who changes an account that exists holds ``changing``, from looking at it until it is known.
    """

    def __init__(self, state: StatePort) -> None:
        self._state = state
        self._by_key: dict[bytes, Account] = {}
        self.changing = asyncio.Lock()

    async def load(self) -> None:
        """Reads all accounts."""
        for account in await self._state.accounts():
            self.know(account)

    def know(self, account: Account) -> None:
        """Notes an account, or another key of one."""
        self._by_key[account.public_key] = account

    def forget(self, name: str) -> None:
        """Notes that an account was removed, with its keys."""
        self._by_key = {key: it for key, it in self._by_key.items() if it.name != name}

    def of(self, public_key: bytes) -> Account | None:
        """The account of a key."""
        return self._by_key.get(public_key)

    def named(self, name: str) -> tuple[Account, ...]:
        """The account of a name, once for each of its keys."""
        return tuple(account for account in self._by_key.values() if account.name == name)

    def all(self) -> tuple[Account, ...]:
        """All accounts by name, once for each of their keys."""
        return tuple(sorted(self._by_key.values(), key=lambda account: account.name))
