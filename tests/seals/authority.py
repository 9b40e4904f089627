"""Keys and certificates for tests, made anew each time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Pair(NamedTuple):
    """PEM files of a private key and of its public key."""

    private: Path
    public: Path


class Issued(NamedTuple):
    """A certificate, and the private key of it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def pair(folder: Path, name: str, *, key: Any = None, password: bytes | None = None) -> Pair:
    """Write a key (on P-256 by default) and its public half."""
    made = key or ec.generate_private_key(ec.SECP256R1())
    locked = forms.NoEncryption() if password is None else forms.BestAvailableEncryption(password)
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(made.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, locked))
    public.write_bytes(
        made.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    )
    return Pair(private, public)


def issued(name: str, by: Issued | None = None, *, authority: bool, signs: bool = True) -> Issued:
    """A certificate, by itself or by another; valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(_usage(authority=authority, signs=signs), critical=True)
        .sign(key if by is None else by.key, hashes.SHA256())
    )
    return Issued(certificate, key)


def write(path: Path, *certificates: Issued) -> Path:
    """A PEM file of certificates, in order."""
    path.write_bytes(b"".join(each.certificate.public_bytes(forms.Encoding.PEM) for each in certificates))
    return path


def _usage(*, authority: bool, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=not signs,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
