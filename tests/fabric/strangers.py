"""Programs that speak the protocol by hand, and not as ours do."""

import secrets
import time

from p2pgrid.client.wallet import WalletKey
from p2pgrid.ids import PeerId
from p2pgrid.net.calls import ask
from p2pgrid.net.link import Inbound, Link
from p2pgrid.protocol.messages import Begin, Challenge, Login, Session
from p2pgrid.protocol.statements import sign_login
from tests.fabric.conftest import FabricNode, Grid


class Stranger:
    """A program that speaks the protocol by hand."""

    def __init__(self, grid: Grid, node: FabricNode) -> None:
        self.seed = secrets.token_bytes(32)
        self._peer = grid.memory.peer(self.seed, on_request=_ignore)
        self._peer.start()
        self.peer_id = self._peer.peer_id
        self.node = node
        self.link: Link = self._peer.link_to(node.node.peer_id, (node.address,))
        self.nonce = ask(self.link, Begin(), Challenge).nonce

    def login(
        self,
        key: WalletKey,
        *,
        audience: PeerId | None = None,
        peer: PeerId | None = None,
        nonce: bytes | None = None,
        now: float | None = None,
        capability: bytes = b"",
    ) -> Session:
        """Logs in with a statement that is wrong in the named place."""
        signed = sign_login(
            key.seed,
            audience=audience or self.node.node.peer_id,
            peer=peer or self.peer_id,
            nonce=nonce or self.nonce,
            now=time.time() if now is None else now,
        )
        return ask(self.link, Login(signed.statement, signed.signature, capability), Session)


def _ignore(_: Inbound) -> None:
    """Strangers answer nothing."""
