"""The certificate that a TLS listener shows: nobody vouches for it, its hash is told over noise."""

import datetime as dt
import hashlib
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from p2pgrid.errors import IdentityMismatchError

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
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _load(self.context, private + signed.public_bytes(serialization.Encoding.PEM))


def client_context() -> ssl.SSLContext:
    """TLS 1.3 with anybody: whoever uses it has to compare the certificate's hash."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def check_fingerprint(connection: ssl.SSLSocket, expected: bytes) -> None:
    """Compares the certificate at the other end with the one that was announced.

    Raises:
        IdentityMismatchError: it is another one.
    """
    certificate = connection.getpeercert(binary_form=True) or b""
    if hashlib.sha256(certificate).digest() != expected:
        raise IdentityMismatchError("somebody else answered at the bulk port of the peer")


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """Python reads keys from files only; this one is in memory, so that it never meets a disk."""
    descriptor = os.memfd_create("p2pgrid-certificate")
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
