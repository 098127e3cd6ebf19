"""Accounts by password, and the first owner by a setup token: each enrols a key of the wallet.

What is secret goes to the domain only, over the encrypted link on which it has proved its key.
"""

import re
import time
from dataclasses import dataclass

from p2pgrid.client.passwords import check_password, in_one_form, proof_of
from p2pgrid.client.wallet import Wallet, WalletKey
from p2pgrid.client.wallet_keys import new_key
from p2pgrid.errors import AccessDenied, NoKeyError, SetupTokenError
from p2pgrid.ids import PeerId
from p2pgrid.net.calls import ask, begin
from p2pgrid.net.link import Link
from p2pgrid.protocol.account_names import account_name
from p2pgrid.protocol.messages import Claim, Done, Enrolled, PasswordLogin, SignUp
from p2pgrid.protocol.secret import Secret
from p2pgrid.protocol.statements import SignedLogin

TOKEN = re.compile(rb"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody's account at a domain.

    ``id`` is the domain's for the life of the account, 32 hexadecimal digits; ``name`` is what
    owners write into ``allowed_users``, and here the email address.
    """

    id: str
    name: str
    email: str


class Entrance:
    """One link to a domain, on which a key is enrolled; ``own_id`` is our end of it."""

    def __init__(
        self, link: Link, wallet: Wallet, *, own_id: PeerId, domain: PeerId, name: str, network: str
    ) -> None:
        self._link, self._wallet, self._own_id = link, wallet, own_id
        self._domain, self._name, self._network = domain, name, network

    def sign_up(self, email: str, password: Secret) -> User:
        """Makes an account; see ``DomainClient.signup``."""
        password = in_one_form(password)
        check_password(password)
        return self._by_password(SignUp, account_name(email), password)

    def log_in(self, email: str, password: Secret) -> User:
        """Enrols our key with an account; see ``DomainClient.login``."""
        return self._by_password(PasswordLogin, account_name(email), in_one_form(password))

    def claim(self, token: Secret, user: str) -> None:
        """Makes our key the first owner's; see ``DomainClient.claim``."""
        if not TOKEN.fullmatch(token.reveal()):
            raise SetupTokenError(domain=self._name)
        key = self._key(user)
        signed, shown = self._signed(key), Secret(bytes.fromhex(token.reveal().decode()))
        is_new = self._wallet.holder_of(bytes.fromhex(key.public_key)) is None
        self._wallet.keep(key)  # before it owns anything: there is no second token
        try:
            ask(self._link, Claim(shown.reveal(), signed.statement, signed.signature), Done)
        except AccessDenied:
            if is_new:
                self._wallet.remove(self._domain, user)
            raise

    def _by_password(
        self, kind: type[SignUp] | type[PasswordLogin], name: str, password: Secret
    ) -> User:
        key, proof = self._key(name), proof_of(password, domain=self._domain, account=name)
        signed = self._signed(key)
        message = kind(name, proof.reveal(), signed.statement, signed.signature)
        enrolled = ask(self._link, message, Enrolled)
        self._wallet.keep(key)
        return User(id=enrolled.user_id.hex(), name=name, email=name)

    def _key(self, user: str) -> WalletKey:
        """The wallet's key; a new one gets into the wallet when the domain has enrolled it."""
        try:
            return self._wallet.key_for(self._domain, user)
        except NoKeyError:
            return new_key(self._domain, user, name=self._name, network=self._network)

    def _signed(self, key: WalletKey) -> SignedLogin:
        nonce = begin(self._link).nonce
        return key.sign_login(peer=self._own_id, nonce=nonce, now=time.time())
