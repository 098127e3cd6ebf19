"""The certificate that a TLS listener shows: nobody vouches for it, its hash is told over noise."""

import datetime as dt
import hashlib
import ssl
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID = dt.timedelta(days=3650)
"""Longer than a process lives; what counts is the hash, not the dates."""


class Certificate:
    """A self-signed certificate with a fresh key, and what both sides need of it."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "p2pgrid")])
        start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        signed = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + VALID)
            .sign(key, hashes.SHA256())
        )
        self.sha256 = hashlib.sha256(signed.public_bytes(serialization.Encoding.DER)).digest()
        self.context = _context(ssl.PROTOCOL_TLS_SERVER)
        self.context.num_tickets = 0  # a connection is never resumed
        with tempfile.NamedTemporaryFile() as file:  # ssl reads keys from files only
            file.write(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
                + signed.public_bytes(serialization.Encoding.PEM)
            )
            file.flush()
            self.context.load_cert_chain(file.name)


def client_context() -> ssl.SSLContext:
    """TLS 1.3 with anybody: whoever uses it has to compare the certificate's hash."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
