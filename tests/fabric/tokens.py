"""A chain of tokens, and everybody's keys, for those who abuse them."""

import secrets
import time
from typing import Any, NamedTuple

import msgspec
from nacl.signing import SigningKey

from p2pgrid import DomainClient, TensorPointer
from p2pgrid.client.wallet import Wallet, WalletKey
from p2pgrid.ids import PeerId
from p2pgrid.protocol.capability import Capability, Link, delegate, encode, mint
from p2pgrid.protocol.grants import Grant
from p2pgrid.protocol.messages import (
    Session,
)
from tests.fabric.conftest import FabricNode, Grid
from tests.fabric.strangers import Stranger

DAY = 86_400


class Stage(NamedTuple):
    """Two domains, everybody's keys, and a chain from the first by ana and bob to carol."""

    grid: Grid
    node: FabricNode
    other: FabricNode
    owner: DomainClient
    ana: DomainClient
    mine: TensorPointer
    ana_key: WalletKey
    bob_key: WalletKey
    carol_key: WalletKey
    eve_key: WalletKey

    @property
    def domain(self) -> PeerId:
        return self.node.node.peer_id

    @property
    def minted(self) -> Capability:
        """What ana got at her login."""
        return self.ana.held().capability

    @property
    def bobs(self) -> Capability:
        """What ana gave to bob."""
        return delegate(
            self.minted,
            self.ana_key.seed,
            audience=public(self.bob_key),
            objects=(self.mine._id,),
            operations=("negative", "add", "get"),
            expires=self.minted.grants[0].expires - 600,
            nonce=secrets.token_bytes(8),
            to=(public(self.eve_key),),
        )

    @property
    def carols(self) -> Capability:
        """What bob gave to carol."""
        return with_link(self.bobs, self.bob_key, self.grant_after(self.bobs))

    @property
    def ends(self) -> int:
        """When what bob has expires."""
        return self.bobs.grants[1].expires

    def grant_after(self, capability: Capability, **changes: Any) -> Grant:
        """A grant for carol that keeps all as it was but ``changes``."""
        fields = {
            "audience": public(self.carol_key),
            "objects": None,
            "operations": None,
            "expires": capability.grants[-1].expires,
            "nonce": bytes(8),
        }
        return Grant(**(fields | changes))

    def show(self, capability: Capability | bytes, key: WalletKey) -> Session:
        """Logs in by a token, with a key that is proved."""
        encoded = capability if isinstance(capability, bytes) else encode(capability)
        return Stranger(self.grid, self.node).login(key, capability=encoded)


def public(key: WalletKey) -> bytes:
    return bytes.fromhex(key.public_key)


def with_link(capability: Capability, key: WalletKey, grant: Any) -> Capability:
    """One more link, by whoever, whatever it says: ``delegate`` without its checks."""
    payload = msgspec.msgpack.encode(grant)
    links = (*capability.links, Link(payload, bytes(64)))
    signed = Capability(capability.domain, links).signed[-1]
    signature = SigningKey(key.seed.reveal()).sign(signed).signature
    return Capability(capability.domain, (*capability.links, Link(payload, signature)))


def replaced(capability: Capability, number: int, **changes: Any) -> Capability:
    """Another grant under the signature that was there."""
    links = list(capability.links)
    grant = msgspec.structs.replace(capability.grants[number], **changes)
    links[number] = Link(msgspec.msgpack.encode(grant), links[number].signature)
    return Capability(capability.domain, tuple(links))


def first_link(stage: Stage, seed: bytes, domain: PeerId, **changes: Any) -> Capability:
    """A first link for bob, signed with any key."""
    fields: dict[str, Any] = {
        "account": "ana",
        "audience": public(stage.bob_key),
        "objects": None,
        "operations": None,
        "expires": int(time.time()) + DAY,
        "nonce": bytes(8),
    }
    return mint(seed, domain=domain, **(fields | changes))


def make_stage(grid: Grid) -> Stage:
    """The domains run; ana is logged in, and has made what she shares."""
    node, other = grid.launch("clinic"), grid.launch("elsewhere")
    owner = grid.owner_of(node)
    owner.publish("open", [1.0, 2.0, 3.0], allowed_users=("ana",))
    ana = grid.user(owner, "ana")
    wallets = {name: Wallet(grid.home / f"{name}.json") for name in ("bob", "carol", "eve")}
    keys = {name: wallet.new(owner.peer_id) for name, wallet in wallets.items()}
    return Stage(
        grid,
        node,
        other,
        owner,
        ana,
        (ana.datasets[0].pointers[0] * 2).block,
        ana.held().key,
        keys["bob"],
        keys["carol"],
        keys["eve"],
    )
