"""Rights: ask the owner."""

from p2pgrid.errors.base import P2PGridError


class AccessDenied(P2PGridError):
    """The owner has not allowed this; asking the owner is the way on."""

    code = 300


class AuthenticationError(AccessDenied):
    """The login was refused. The same text for every cause: it tells a stranger nothing."""

    code = 301

    def __init__(self, *, domain: str) -> None:
        super().__init__(
            f"{domain} refused the login; check name and password, or ask the owner to enrol the "
            "public key that your wallet holds for this domain, and check both clocks"
        )
        self.domain = domain


class GetNotPermittedError(AccessDenied):
    """This user may not take the values of this object home."""

    code = 302

    def __init__(self, *, object_id: str, domain: str) -> None:
        super().__init__(
            f"You do not have permission to .get() object {object_id} of domain {domain}. "
            "Ask its owner to add you to the allowed users of every dataset it derives from."
        )
        self.object_id, self.domain = object_id, domain


class PublishNotPermittedError(AccessDenied):
    """This user may not publish on this node."""

    code = 303

    def __init__(self, *, domain: str) -> None:
        super().__init__(f"only an owner of domain {domain} may publish there")
        self.domain = domain


class PermissionDeniedError(AccessDenied):
    """The role of this user does not allow the call."""

    code = 304

    def __init__(self, *, action: str, domain: str) -> None:
        super().__init__(f"{action} on {domain} needs a login with another role; ask its owner")
        self.action, self.domain = action, domain


class MoveNotPermittedError(AccessDenied):
    """No owner of the data, and no token, lets this object go to that domain."""

    code = 305

    def __init__(self, *, object_id: str, domain: str, to: str) -> None:
        super().__init__(
            f"object {object_id} may not move from {domain} to {to}; ask the owner of {domain} "
            "to publish its data with allowed_domains, or for a capability to move it"
        )
        self.object_id, self.domain, self.to = object_id, domain, to


class AccountExistsError(AccessDenied):
    """The name of a new account is taken, or kept for somebody by the owner."""

    code = 306

    def __init__(self, *, name: str, domain: str) -> None:
        super().__init__(
            f"the name {name!r} is taken at {domain}; log in with its password, "
            "sign up by another name, or ask the owner"
        )
        self.name, self.domain = name, domain


class SignupClosedError(AccessDenied):
    """Nobody can make an account here without the owner."""

    code = 307

    def __init__(self, *, domain: str) -> None:
        super().__init__(
            f"{domain} takes no sign-ups; send its owner the public key that your wallet holds "
            "for this domain, to be enrolled"
        )
        self.domain = domain


class TooManyAttemptsError(AccessDenied):
    """More attempts than the domain bears, for this account, this program or all of them."""

    code = 308

    def __init__(self, *, domain: str, wait_s: float) -> None:
        super().__init__(
            f"too many attempts at {domain}; try again in {wait_s:,.0f} s. "
            "A key of your wallet that the domain knows logs in all the same"
        )
        self.domain, self.wait_s = domain, wait_s


class SetupTokenError(AccessDenied):
    """The setup token is wrong, used or expired, or the domain has an owner. One text for all."""

    code = 309

    def __init__(self, *, domain: str) -> None:
        super().__init__(
            f"{domain} refused the setup token: it is good once, for a day, while nobody owns the "
            "domain; stop and start the domain for a new one"
        )
        self.domain = domain


CAPABILITY_REASONS = {
    "malformed": "it is damaged or cut short; ask for it again",
    "oversized": "it is too long; ask somebody nearer to its beginning for one",
    "forged": "a signature does not fit; ask for it again, from somebody whom you know",
    "widened": "a link gives more than the one before; ask the domain's owner for the right",
    "another domain": "it was made for another domain; show it there",
    "expired": "its time is over; ask for a new one",
    "revoked": "it was taken back; ask whoever gave it to you",
    "audience": "it was given to another key; ask for one that names your key",
    "account": "the account that it draws on has no rights any more; ask the domain's owner",
    "scope": "it does not name this object, operation or destination; ask for one that does",
}


"""Why a capability is refused, and what its holder can do."""


class CapabilityError(AccessDenied):
    """A capability does not give the right; ``reason`` is a key of ``CAPABILITY_REASONS``."""

    code = 310

    def __init__(self, *, reason: str, domain: str) -> None:
        advice = CAPABILITY_REASONS.get(reason, "ask whoever gave it to you")
        super().__init__(f"the capability for {domain} is refused ({reason}): {advice}")
        self.reason, self.domain = reason, domain
