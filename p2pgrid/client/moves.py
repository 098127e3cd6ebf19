"""Pointers of one domain that are given to an actor of another one.

The data goes straight from domain to domain. We name the place where it is to arrive, let the
first domain's key, and no other, deposit there, and ask it to; what stands in the call is the name.
When the first domain refuses or fails, we tell the second one, so that the call fails with the
reason.
"""

import secrets
import time
from concurrent.futures import Future
from contextlib import suppress

from p2pgrid.client.handle import Handle
from p2pgrid.client.home import Home
from p2pgrid.errors import InternalError, LocalProtocolError, MoveFailedError, P2PGridError
from p2pgrid.ids import PeerId, public_key_of, short
from p2pgrid.net.calls import checked
from p2pgrid.net.link import Reply
from p2pgrid.protocol import faults
from p2pgrid.protocol.capability import delegate, encode
from p2pgrid.protocol.grants import GRANT_NONCE_BYTES
from p2pgrid.protocol.messages import Abandon, Done, Failure, MoveObject

DEPOSIT = "deposit"


class Move:
    """One object on its way to another domain; nothing is sent before ``begin``."""

    def __init__(self, handle: Handle, at: Home) -> None:
        """Names the place where the object is to arrive.

        Raises:
            ObjectGoneError: it is of a session that has ended.
            CapabilityError: "widened" or "expired": our right at the receiver does not reach that
                far, as a shared one may not.
            P2PGridError: why the object was not made, where that is known.
        """
        source = handle._domain
        self._handle, self._to, self._move_s = handle, at.peer_id, at.move_s
        self._from_session = source.session_for(handle._sessions())
        self._to_session = at.session_for(())
        self.out = self._to_session.names.next()
        self._message = MoveObject(
            object_id=handle._id,
            to=at.peer_id,
            addresses=at.addresses,
            capability=self._capability(at, source.peer_id),
            out=self.out,
        )

    def begin(self) -> None:
        """Asks the domain to push the object; to be called when the call was sent."""
        answer = self._from_session.inquire(self._message, self._move_s)
        answer.add_done_callback(self._conclude)

    def _capability(self, at: Home, source: PeerId) -> bytes:
        """Lets the source's key deposit one value under one name, and nothing else."""
        held = at.held()
        expires = min(int(time.time() + self._move_s), held.capability.scope.expires)
        capability = delegate(
            held.capability,
            held.key.seed,
            audience=public_key_of(source),
            objects=(self.out,),
            operations=(DEPOSIT,),
            expires=expires,
            nonce=secrets.token_bytes(GRANT_NONCE_BYTES),
        )
        return encode(capability)

    def _conclude(self, answer: "Future[Reply]") -> None:
        """Tells the receiver of a failure; in the network thread."""
        with suppress(LocalProtocolError):  # the program ends
            try:
                checked(answer.result().message, Done)
            except P2PGridError as error:
                self._to_session.inquire(Abandon(self.out, self._failure(error)), 0)
            self._to_session.free(self.out)  # the calls that were given it keep it

    def _failure(self, error: P2PGridError) -> Failure:
        if faults.is_public(error):
            return faults.failure_of(error)
        if isinstance(error, InternalError):
            return faults.internal(error.reference)
        failed = MoveFailedError(
            object_id=short(self._handle._id),
            domain=self._handle._domain.name,
            to=self._to,
            reason="unanswered",
        )
        return faults.failure_of(failed)
