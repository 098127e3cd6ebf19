"""How the accounts are called that people make for themselves: by an email address.

Nobody checks that mail arrives there: it is a name that a person remembers, unique in a domain.
Only ASCII, so that no two names look alike; owners may give accounts any name.
"""

import re

from p2pgrid.errors import SchemaError

MAX_NAME = 128
EMAIL = re.compile(r"[!-?A-~]+@[!-?A-~]+")


def account_name(email: str) -> str:
    """The name of the account for an email address: without white space around it, in lower case.

    Raises:
        SchemaError: it is none.
    """
    name = email.strip().lower()
    if len(name) > MAX_NAME or not EMAIL.fullmatch(name):
        raise SchemaError(
            field="email",
            problem=f"expected ASCII such as ana@hospital.org, at most {MAX_NAME} characters",
        )
    return name
