"""Hashes passwords by argon2id, a few at a time, while the gateway goes on.

What is hashed is the proof that the client made of a password (``protocol/messages/sessions.py``);
the domain never sees the password itself.
"""

import asyncio
import base64
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from nacl.exceptions import InvalidkeyError
from nacl.pwhash import argon2id

from p2pgrid.errors import BusyError
from p2pgrid.protocol.secret import Secret

Result = TypeVar("Result")

PASSES, MEMORY = 3, 64 << 20
"""The second choice of RFC 9106, in one lane, as libsodium has it: about 0.1 s of one CPU."""
AT_ONCE = 2
WAITING = 64
"""So many hashes are made at once, and wait in all."""


class Passwords:
    """One thread pool; ``close`` ends it."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="p2pgrid-passwords")
        self._waiting = 0

    async def hash(self, proof: Secret) -> str:
        """What is kept of a password.

        Raises:
            BusyError: too many wait.
        """
        return await self._run(_hash, proof, "")

    async def fits(self, proof: Secret, hashed: str | None) -> bool:
        """Whether this is the password; without a hash the work is the same, and it is not.

        Raises:
            BusyError: too many wait.
        """
        return await self._run(_fits, proof, hashed or _nobodys())

    def close(self) -> None:
        """Ends the threads; what waits is cancelled."""
        self._pool.shutdown(cancel_futures=True)

    async def _run(
        self, work: Callable[[Secret, str], Result], proof: Secret, known: str
    ) -> Result:
        if self._waiting >= WAITING:
            raise BusyError(limit=WAITING)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, work, proof, known)
        finally:
            self._waiting -= 1


def _hash(proof: Secret, _: str) -> str:
    return argon2id.str(proof.reveal(), opslimit=PASSES, memlimit=MEMORY).decode()


def _fits(proof: Secret, hashed: str) -> bool:
    try:
        return bool(argon2id.verify(hashed.encode(), proof.reveal()))
    except InvalidkeyError:
        return False


def _nobodys() -> str:
    """A hash of no password, which takes as long to compare with as one of today's."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32)
    )
    return f"$argon2id$v=19$m={MEMORY >> 10},t={PASSES},p=1${salt}${digest}"
