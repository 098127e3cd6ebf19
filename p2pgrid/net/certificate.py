"""TLS for the bulk plane: a certificate of this process alone, and a client that pins it.

Trust: nobody signs the certificate. Its fingerprint reaches the client over the control stream,
which noise authenticates, so that whoever answers with another one is hung up on.
"""

import datetime as dt
import hashlib
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from p2pgrid.errors import IdentityMismatchError

VALID_FOR = dt.timedelta(days=3650)
"""Of no consequence: the certificate ends with its process, and clients look at its hash only."""


def server_context() -> tuple[ssl.SSLContext, bytes]:
    """A TLS 1.3 context with a fresh certificate, and the certificate's SHA-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # a connection is never resumed: its token is spent
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _load(context, certificate.public_bytes(Encoding.PEM) + secret)
    return context, hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()


def client_context() -> ssl.SSLContext:
    """A TLS 1.3 context that believes no authority; ``check_fingerprint`` decides."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
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


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "p2pgrid")])
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + VALID_FOR)
        .sign(key, hashes.SHA256())
    )


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """Python reads keys from files only; this one is in memory, so that it never meets a disk."""
    descriptor = os.memfd_create("p2pgrid-certificate")
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
