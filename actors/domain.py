"""What a domain answers: users, datasets, operations on pointers, ``get``.

Access is decided in the gateway's process, from labels that never leave it; the store only carries
out what was admitted. ``publishing``, ``computing`` and ``giving`` have the three ways of values:
in, on, and out.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from actors.calls import Calls, ClassesByName
from actors.capabilities import Capabilities, Granted
from actors.computing import Computing
from actors.datasets import Datasets
from actors.deposits import Deposits
from actors.enrolling import Enrolling
from actors.gateway import Answer, Handler, LinkSession
from actors.giving import Giving
from actors.granting import Granting
from actors.members import Members
from actors.meter import Load
from actors.movable import Movables
from actors.moves import Moves
from actors.ports import HostsPort, StatePort, StorePort
from actors.publishing import OnPublished, Publishing
from actors.pushing import Pusher
from actors.record_book import RecordBook
from actors.sessions import Sessions
from actors.signing_in import SigningIn
from actors.taking import Taking
from actors.transfers import Transfers
from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from p2pgrid.policy.access import require_owner
from p2pgrid.policy.granted import GrantedObjects
from p2pgrid.policy.leases import Lease, Owner
from p2pgrid.policy.objects import SessionObjects
from p2pgrid.protocol.messages import (
    Abandon,
    Account,
    AskEntitySecret,
    AwaitResults,
    CancelCall,
    Claim,
    CloseTransfer,
    Deposit,
    Done,
    Enrol,
    FetchChunk,
    Get,
    Invoke,
    KillActor,
    ListAccounts,
    ListDatasets,
    ListObjects,
    ListParts,
    Message,
    MoveObject,
    OpenDownload,
    OpenUpload,
    Operate,
    PasswordLogin,
    Publish,
    RemoveAccount,
    Revoke,
    SendChunk,
    SignUp,
    TakeResults,
)


class Domain:
    """The requests of a domain; policy is cached here and changed only through here."""

    kind = "domain"

    def __init__(
        self,
        *,
        state: StatePort,
        store: StorePort,
        book: RecordBook,
        transfers: Transfers,
        capabilities: Capabilities,
        pusher: Pusher,
        hosts: HostsPort,
        classes: ClassesByName,
        on_published: OnPublished,
        entity_secret: bytes,
        is_open: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        """``is_open`` lets people make accounts for themselves."""
        self.name = book.name
        self._state, self._store, self._book = state, store, book
        self._transfers, self._capabilities, self._limits = transfers, capabilities, limits
        self._members = members = Members(state)
        self._datasets = datasets = Datasets(book)
        self._sessions = Sessions(self._drop, lease_s=timing.lease_s, limits=limits)
        self.calls = Calls(
            domain=self.name,
            state=state,
            store=store,
            hosts=hosts,
            classes=classes,
            limits=limits,
            move_s=timing.move_s,
        )
        taking = Taking(
            self.calls, domain=self.name, state=state, allowed=datasets.allowed, limits=limits
        )
        computing = Computing(domain=self.name, store=store, calls=self.calls)
        giving = Giving(
            domain=self.name, state=state, store=store, datasets=datasets, transfers=transfers
        )
        self._publishing = Publishing(
            state=state,
            store=store,
            book=book,
            datasets=datasets,
            transfers=transfers,
            on_published=on_published,
            limits=limits,
            entity_secret=entity_secret,
        )
        movables = Movables(
            domain=self.name,
            store=store,
            results_of=self.calls.results_of,
            allowed=datasets.allowed,
            limits=limits,
            wait_s=timing.move_s,
        )
        self._moves = Moves(
            domain=self.name,
            peer_id=book.peer_id,
            state=state,
            datasets=datasets,
            movables=movables,
            pusher=pusher,
            limits=limits,
        )
        self._deposits = Deposits(
            domain=self.name,
            state=state,
            capabilities=capabilities,
            sessions=self._sessions,
            transfers=transfers,
            account_of=self.account_of,
            results_of=self.calls.results_of,
        )
        enrolling = Enrolling(domain=self.name, peer_id=book.peer_id, state=state, members=members)
        self._signing_in = SigningIn(
            domain=self.name,
            peer_id=book.peer_id,
            state=state,
            members=members,
            is_open=is_open,
            is_reserved=datasets.allows,
        )
        granting = Granting(domain=self.name, state=state, capabilities=capabilities)
        self.handlers: Mapping[type[Message], Handler] = MappingProxyType(
            {
                SignUp: self._signing_in.sign_up,
                PasswordLogin: self._signing_in.log_in,
                Claim: enrolling.claim,
                Enrol: enrolling.enrol,
                RemoveAccount: enrolling.remove,
                ListAccounts: enrolling.list_accounts,
                ListObjects: self._list_objects,
                ListDatasets: self._list_datasets,
                Publish: self._publishing.publish,
                AskEntitySecret: self._publishing.give_entity_secret,
                ListParts: self._publishing.list_parts,
                OpenUpload: self._open_upload,
                SendChunk: self._publishing.take_chunk,
                Operate: computing.operate,
                Get: giving.get,
                OpenDownload: giving.open_download,
                FetchChunk: giving.give_chunk,
                CloseTransfer: self._close_transfer,
                Revoke: granting.revoke,
                MoveObject: self._moves.move,
                Deposit: self._deposits.deposit,
                Abandon: self._deposits.abandon,
                **self.calls.handlers,
                **taking.handlers,
            }
        )
        self.by_capability: frozenset[type[Message]] = frozenset(
            {
                *(ListDatasets, Operate, Get, OpenDownload, FetchChunk, CloseTransfer, Revoke),
                *(MoveObject, Abandon),
                *(Invoke, AwaitResults, TakeResults, CancelCall, KillActor),
            }
        )

    async def load(self) -> None:
        """Reads the policy; to be called before the first request."""
        await self._members.load()
        await self._capabilities.load()
        for entry in await self._state.datasets():
            self._datasets.add(entry)
        self._transfers.clean_up(lambda: {*self._datasets.labels, *self._datasets.parts})

    async def close(self) -> None:
        """Ends all actors, and the moves; to be called after the last request."""
        await self.calls.close()
        await asyncio.to_thread(self._moves.close)
        await asyncio.to_thread(self._signing_in.close)
        self._deposits.close()

    def account_of(self, public_key: bytes) -> Account | None:
        """The account that this key is enrolled for."""
        return self._members.of(public_key)

    def mint(self, account: Account) -> bytes:
        """A capability for what the account may do."""
        return self._capabilities.mint(account)

    def admit(self, capability: bytes, key: bytes) -> Granted:
        """The rights of whoever shows a capability and has proved to hold this key."""
        return self._capabilities.admit(capability, key)

    def claim(self, owner: Owner, holder: LinkSession) -> Lease:
        """The session that the owner comes back to, or a new one."""
        lease = self._sessions.claim(owner, holder, partial(self._open_objects, holder.granted))
        self.calls.open(lease.objects)
        if holder.granted is not None:
            holder.granted.on_end(partial(self.calls.cancel_all, lease.objects.prefix))
        return lease

    def release(self, lease: Lease, holder: LinkSession) -> None:
        """Notes that the link of a session has ended."""
        self._sessions.release(lease, holder)

    async def end(self, lease: Lease) -> None:
        """Ends a session at once, with its objects and transfers."""
        self._sessions.end(lease)
        await self._transfers.end_of(lease.owner.peer)

    def held(self) -> Load:
        """What sessions and the store hold at this moment."""
        return self._sessions.load()._replace(
            store_queue=self._store.waiting, store_restarts=self._store.restarts
        )

    def own_record(self) -> bytes:
        """The domain's signed record."""
        return self._book.node_record()

    async def _drop(self, prefix: bytes) -> None:
        await self.calls.drop(prefix)
        await self._store.drop(prefix)

    def _open_objects(self, granted: Granted | None, prefix: bytes) -> SessionObjects:
        labels, limits = self._datasets.labels, self._limits
        if granted is None:
            return SessionObjects(prefix, labels, limits=limits, domain=self.name)
        return GrantedObjects(
            prefix,
            labels,
            rights=granted.rights,
            lent_by=self._sessions.lent_by,
            limits=limits,
            domain=self.name,
        )

    async def _list_objects(self, session: LinkSession, _: ListObjects, __: object) -> Answer:
        require_owner(session.account, action="seeing who holds what", domain=self.name)
        entries = self._datasets.entries
        return Answer(self._sessions.holdings(lambda dataset: entries[dataset].name))

    async def _list_datasets(self, _: LinkSession, message: ListDatasets, __: object) -> Answer:
        return Answer(self._book.find(message.query, after=message.after))

    async def _open_upload(self, session: LinkSession, message: OpenUpload, _: object) -> Answer:
        """For a dataset, or for a deposit of another domain."""
        if message.capability:
            return await self._deposits.open_upload(session, message, _)
        return await self._publishing.open_upload(session, message, _)

    async def _close_transfer(
        self, session: LinkSession, message: CloseTransfer, _: object
    ) -> Answer:
        await self._transfers.close(message.transfer_id, session.link.peer)
        return Answer(Done())
