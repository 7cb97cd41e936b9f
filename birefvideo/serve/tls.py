"""A certificate for this machine, made on it: clients that know its authority speak TLS with the server."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from birefvideo.own_files import make_anew

_DAYS = 365
_LEFT = timedelta(days=7)
"""A certificate that ends sooner is made anew."""


def certificate(folder: Path, host: str, names: tuple[str, ...] = ()) -> tuple[Path, Path, Path]:
    """Return the files of an authority, of a certificate that it has signed, and of its key; they are made if need be.

    The authority's own key is kept nowhere, so that nobody can sign for other names with it.

    Args:
        folder: where they are.
        host: the address that the server listens at.
        names: what else it is called.

    Raises:
        OSError: the disk refuses.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    authority, server, key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
    wanted = _names(host, names)
    if not _is_good(server, key, authority, wanted):
        _make(authority, server, key, wanted)
    return authority, server, key


def speaker(server: Path, key: Path) -> ssl.SSLContext:
    """Return what speaks TLS with a certificate and its key.

    Raises:
        OSError: they cannot be read.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(server, key)
    return made


def _names(host: str, names: tuple[str, ...]) -> set[str]:
    found = {"localhost", "127.0.0.1", "::1", *names}
    return found if host in ("127.0.0.1", "localhost", "::1") else {*found, host, socket.gethostname()}


def _is_good(server: Path, key: Path, authority: Path, wanted: set[str]) -> bool:
    try:
        found = x509.load_pem_x509_certificate(server.read_bytes())
    except (OSError, ValueError):
        return False
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = {str(name.value) for name in names}
    now = datetime.now(timezone.utc)
    is_fresh = found.not_valid_before_utc <= now < found.not_valid_after_utc - _LEFT  # the clock may have been set back
    return is_fresh and wanted <= known and key.is_file() and authority.is_file()


def _make(authority: Path, server: Path, key: Path, names: set[str]) -> None:
    own, above = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "birefvideo on this machine")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "birefvideo serve")])
    root = (
        _builder(issuer, issuer, above.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(above.public_key()), critical=False)
        .sign(above, hashes.SHA256())
    )
    leaf = (
        _builder(subject, issuer, own.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in sorted(names)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), critical=False)
        .sign(above, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain, form = serialization.NoEncryption(), serialization.PrivateFormat.PKCS8
    for path, data in (
        (key, own.private_bytes(pem, form, plain)),
        (server, leaf.public_bytes(pem)),
        (authority, root.public_bytes(pem)),
    ):
        with os.fdopen(make_anew(path, is_secret=True), "wb") as file:
            file.write(data)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
