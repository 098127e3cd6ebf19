"""A domain, as a scientist or its owner sees it through the network."""

import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import overload

from numpy.typing import ArrayLike
from typing_extensions import Unpack

from p2pgrid.client.actor_class import ActorClasses
from p2pgrid.client.actor_pointer import ActorClass, ActorPointer
from p2pgrid.client.dataset_model import Dataset
from p2pgrid.client.dataset_upload import upload_of
from p2pgrid.client.datasets import DatasetPointer, require_names, require_peers
from p2pgrid.client.domain_home import DomainHome
from p2pgrid.client.frames import Frame, arrays_by_name
from p2pgrid.client.holdings import HeldObjects
from p2pgrid.client.pages import pages_of
from p2pgrid.client.publication import Parcel, Publication, parcels_of
from p2pgrid.client.records import read_dataset
from p2pgrid.client.revoking import revocation_of
from p2pgrid.client.signing_in import Entrance, User
from p2pgrid.client.transfers import Wishes
from p2pgrid.client.users import Users
from p2pgrid.ids import ObjectId
from p2pgrid.net.calls import ask, checked
from p2pgrid.protocol.arrays import as_array
from p2pgrid.protocol.messages import (
    ActorFound,
    AskEntitySecret,
    Classes,
    Done,
    EntitySecret,
    FindActor,
    Holdings,
    ListClasses,
    ListDatasets,
    ListObjects,
    NewTensor,
    Publish,
)
from p2pgrid.protocol.queries import Forms, query_of
from p2pgrid.protocol.secret import Secret


class DomainClient(DomainHome):
    """A domain; it is dialled and logged in to when that is first needed.

    After a lost link the next call dials again, and the domain gives back the session that it
    keeps for this program for a while: pointers go on to work. What was under way fails with
    ``TransportError``; pointers of a session that has ended raise ``ObjectGoneError``.
    """

    @property
    def users(self) -> Users:
        """The accounts of the domain. Owners only."""
        return Users(self)

    @overload
    def login(self, user: str | None = None) -> "DomainClient": ...

    @overload
    def login(self, user: str, password: str) -> User: ...

    def login(self, user: str | None = None, password: str | None = None) -> "DomainClient | User":
        """Logs in with the wallet's key for this domain; a second user may log in beside the first.

        With a password the wallet's key, made if need be, is enrolled with the account first: once
        per machine. The password stays here; the domain gets a proof that no other can use.

        Args:
            user: which of the wallet's keys for this domain; default: the first one. With a
                password: the email address of the account.
            password: of the account.

        Returns:
            This domain; with a password the account, with the id that ``signup`` gave.

        Raises:
            NoKeyError: the wallet has no such key.
            AuthenticationError: the domain does not know the key; or no account has this name and
                this password, which of them is not told.
            TooManyAttemptsError: too many wrong passwords; with the seconds to wait.
            DomainUnreachableError: it does not answer.
        """
        if password is None:
            self._logins.account_of(user)
            return self
        secret = Secret(password.encode(errors="replace"))
        del password  # some tracebacks show the locals of a frame
        account = self._entrance().log_in(user or "", secret)
        self._logins.account_of(account.name)
        return account

    def signup(self, email: str, password: str) -> User:
        """Makes an account here, enrols the wallet's key with it, and logs in.

        Args:
            email: the name of the account; nobody checks that mail arrives there.
            password: 8 characters to 1,024 bytes; only for further machines, as this one has its
                key. It stays here; the domain gets a proof that no other can use.

        Raises:
            SignupClosedError: the owner makes all accounts.
            AccountExistsError: the name is taken.
            PasswordError, SchemaError: no fit password, or no email address.
            TooManyAttemptsError: too many accounts were made; with the seconds to wait.
            DomainUnreachableError: it does not answer.
        """
        secret = Secret(password.encode(errors="replace"))
        del password
        account = self._entrance().sign_up(email, secret)
        self._logins.account_of(account.name)
        return account

    def claim(self, token: str, user: str = "owner") -> "DomainClient":
        """Makes the wallet's key the first owner's, and logs in.

        Args:
            token: what the domain showed when it was started without an owner; good once.
            user: under which name the wallet has the key, which is made if need be.

        Raises:
            SetupTokenError: the token is wrong, used or expired, or the domain has an owner.
            DomainUnreachableError: it does not answer.
        """
        secret = Secret(token.strip().encode(errors="replace"))
        del token
        self._entrance().claim(secret, user)
        self._logins.account_of(user)
        return self

    @property
    def datasets(self) -> tuple[DatasetPointer, ...]:
        """What the domain lists; anybody may see it."""
        return self.search()

    def search(self, *words: str, **forms: Unpack[Forms]) -> tuple[DatasetPointer, ...]:
        """The datasets that match, straight from the domain; see ``p2pgrid.search``.

        Without any word all of them, up to ``Limits.search_pages`` answers of at most 1 MiB.
        """
        question = ListDatasets(query_of(*words, **forms))
        pages = pages_of(self.link(), question, most=self._limits.search_pages)
        return tuple(self._dataset(record) for page in pages for record in page.records)

    @property
    def actors(self) -> ActorClasses:
        """The actor classes that the owner has exported; accounts see them.

        Raises:
            NoKeyError, AuthenticationError: see ``login``.
            RemoteProtocolError: the domain describes what is no class.
        """
        answer = self._logins.session().ask(ListClasses()).message
        return ActorClasses(self, checked(answer, Classes).classes)

    def actor(self, name: str) -> ActorPointer:
        """The actor that was made with ``options(name=...)``; it does not end with this pointer.

        Raises:
            ObjectGoneError: there is none of this name, or it is not for you.
        """
        found = checked(self._logins.session().ask(FindActor(name)).message, ActorFound)
        return ActorPointer(self, ObjectId(found.object_id), ActorClass(found.cls), None)

    @property
    def objects(self) -> HeldObjects:
        """Who holds which results, and until when. Owners only.

        Raises:
            PermissionDeniedError: only owners see it.
        """
        self.login()
        return HeldObjects(ask(self.link(), ListObjects(), Holdings))

    def publish(
        self,
        name: str,
        tensors: ArrayLike | Mapping[str, ArrayLike] | Frame,
        *,
        description: str = "",
        tags: Iterable[str] = (),
        allowed_users: str | Sequence[str] = (),
        allowed_domains: str | Sequence[str] = (),
        announce: bool = False,
        progress: bool | None = None,
        stop: threading.Event | None = None,
    ) -> DatasetPointer:
        """Publishes arrays of which nothing is said: durable and listed when this returns.

        Owners only. A dataset of a name that is there already is its next version.
        ``publish_dataset`` publishes with a schema, splits and budgets.

        Args:
            name: of the dataset.
            tensors: one array, arrays by name, or a data frame, whose columns become arrays; bool,
                integer or float, any shape.
            description: for everybody to read, kept verbatim.
            tags: for search; ``#`` and case do not matter.
            allowed_users: names of accounts that may ``get`` the values and what derives from
                them. Empty: nobody but owners.
            allowed_domains: peer ids of domains to which the values, and what derives from them,
                may move, so that actors there can use them; whoever operates such a domain can
                read them. Empty: none.
            announce: tell the DHT about the tags, so that anybody can find them without a
                network; a tag that can be guessed can then be found by guessing.
            progress: show a bar for large arrays; default: when standard error is a terminal.
            stop: set it, from any thread, to stop the upload; nothing is listed then.

        Raises:
            PublishNotPermittedError: only owners publish.
            DtypeError, TooLargeError, SchemaError: the data cannot be published like this.
            DiskFullError: the domain has no room for it.
            TransferCancelledError: ``stop`` was set.
        """
        arrays = arrays_by_name(name, tensors)
        named = {key: as_array(value, limit=self._limits.transfer) for key, value in arrays.items()}
        parcels = parcels_of(list(named.items()), limits=self._limits)
        message = Publish(
            dataset_id=secrets.token_bytes(16),
            name=name,
            description=description,
            tags=require_names("tags", tuple(tags)),
            allowed=require_names("allowed_users", allowed_users),
            announce=announce,
            tensors=tuple(
                NewTensor(it.label, it.object_id, it.header, it.uploaded) for it in parcels
            ),
            allowed_domains=require_peers("allowed_domains", allowed_domains),
        )
        self.login()
        return self._carry_out(message, parcels, Wishes(progress, stop))

    def publish_dataset(
        self,
        dataset: Dataset,
        *,
        allowed_users: str | Sequence[str] = (),
        allowed_domains: str | Sequence[str] = (),
        announce: bool = False,
        progress: bool | None = None,
        stop: threading.Event | None = None,
    ) -> DatasetPointer:
        """Publishes what ``prepare_dataset`` made: durable and listed when this returns.

        Owners only. A dataset of a name that is there already is its next version; earlier ones
        stay, with their ids and rights. The domain checks again all that the schema says.

        Args:
            dataset: what to publish.
            allowed_users: see ``publish``.
            allowed_domains: see ``publish``.
            announce: see ``publish``.
            progress: show what is uploaded; default: when standard error is a terminal.
            stop: see ``publish``.

        Raises:
            PublishNotPermittedError: only owners publish.
            SchemaError: the schema cannot be stored; see ``protocol.storage``.
            TooLargeError: what is public of it does not fit into a record; nothing was sent.
            UnfitValuesError: the domain found values outside of the schema's bounds.
            DiskFullError, TransferCancelledError: see ``publish``.
        """
        allowed = require_names("allowed_users", allowed_users)
        domains = require_peers("allowed_domains", allowed_domains)
        self.login()
        secret = ask(self._logins.session().link, AskEntitySecret(), EntitySecret).secret
        message, parcels = upload_of(
            dataset,
            allowed=allowed,
            allowed_domains=domains,
            announce=announce,
            secret=secret,
            limits=self._limits,
        )
        return self._carry_out(message, parcels, Wishes(progress, stop))

    def revoke(self, given: str) -> None:
        """Takes back what was shared: at once, with all that others made of it, for good.

        Work that runs by it ends. Owners may take back anything, others what they gave.

        Args:
            given: what ``share`` returned, a capability's text, or the id of a link in hex. Of
                several links it is the first that our key signed, or else the last.

        Raises:
            PermissionDeniedError: another key gave it, and we are no owner.
            CapabilityError: the text is no capability of this domain, or has expired.
        """
        self.login()
        own = bytes.fromhex(self.held().key.public_key)
        ask(self.link(), revocation_of(given, own), Done)

    def _entrance(self) -> Entrance:
        return Entrance(
            self.link(),
            self._wallet,
            own_id=self._peer.peer_id,
            domain=self.peer_id,
            name=self.name,
            network=self.network,
        )

    def _carry_out(
        self, message: Publish, parcels: Sequence[Parcel], wishes: Wishes
    ) -> DatasetPointer:
        publication = Publication(
            message,
            parcels,
            transfers=self.transfers,
            link=lambda: self._logins.session().link,
            timing=self._timing,
            wishes=wishes,
        )
        return self._dataset(publication.carry_out().record)

    def _dataset(self, record: bytes) -> DatasetPointer:
        body, _ = read_dataset(record, self.peer_id)
        return DatasetPointer(self, body)
