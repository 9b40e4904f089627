"""Signatures: who made a seal, which its digests cannot say, since a forger computes them anew.

A signature is a Sigstore bundle in the seal, `seal.sig`, as OpenSSF model signing writes and checks it: an
in-toto statement of the sha256 of every other file, signed by ECDSA in a DSSE envelope. Keys and certificates
are files of one's own; nothing here asks a network.

Source: OpenSSF Model Signing specification 1.0, by its library `model_signing`.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from signet.errors import BadRequest, MissingExtra, Refused
from signet.naming import shown
from signet.seals.names import MANIFEST, MOST_SIGNATURE_BYTES, SIGNATURE
from signet.seals.reading import Seal, open_seal
from signet.storage import cache_folder, move_into_place

_KEY, _CERTIFICATE = "-----BEGIN PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----"


def sign(
    seal: Seal | str | Path,
    key: str | Path,
    *,
    certificate: str | Path | None = None,
    password: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Sign a sealed folder; its digest stays what it is.

    Args:
        seal: an opened seal, or its path; it is checked (again) first.
        key: PEM file of an elliptic-curve private key: P-256, P-384 or P-521.
        certificate: PEM file of the certificate of that key, and the certificates between it and the root
            after it; the signature then holds them, and is checked by the root. Without, by the public key.
        password: of the key, where it is encrypted.
        overwrite: replace a signature that is there.

    Returns:
        The path of the signature.

    Raises:
        BadRequest: the seal is a zip or is signed already; or key, password and certificate do not fit.
        Tampered: the folder is not what was sealed.
        MissingExtra: the library for signatures is not installed.
    """
    place = seal.path if isinstance(seal, Seal) else Path(seal)
    folder = open_seal(place).path
    if not place.is_dir() or cache_folder().resolve() in folder.resolve().parents:
        raise BadRequest(
            f"{shown(place)}: expected a sealed folder, got a zip: sign the folder, then pack it."
        )
    target = folder / SIGNATURE
    if target.exists() and not overwrite:
        raise BadRequest(f"{shown(place)} is signed already. To replace its signature, give --overwrite.")
    signer = signer_of(key, certificate=certificate, password=password)
    # Beside the folder and not in it, where a file that is not listed would be one too many for a reader.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside_it:
        written = Path(beside_it) / SIGNATURE
        signer.sign(folder, written)
        move_into_place(written, target)
    return target


def signer_of(key: str | Path, *, certificate: str | Path | None = None, password: str | None = None) -> Any:
    """The library's signer of a key, which was opened; see `sign` for arguments and errors."""
    library = _library()
    config = library.signing.Config().set_hashing_config(_hashing(library))
    try:
        if certificate is None:
            # The library hands the password on to one that takes bytes.
            config.use_elliptic_key_signer(private_key=key, password=password and password.encode())
        else:
            _check_certificate(Path(certificate), Path(key))
            config.use_certificate_signer(
                private_key=key, signing_certificate=certificate, certificate_chain=[certificate]
            )
    except Exception as error:
        beside = "" if certificate is None else f" and the certificate {shown(certificate)}"
        raise BadRequest(
            f"{shown(key)}{beside}: expected a PEM private key on the curve P-256, P-384 or P-521, its "
            f"password where it has one, and a certificate of this very key: {shown(error)}."
        ) from error
    return config


def _check_certificate(certificate: Path, key: Path) -> None:
    """Refuse a certificate whose signatures nobody may accept, and a key that cannot be opened beside one."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    if b"ENCRYPTED" in key.read_bytes():
        raise ValueError(
            "the library that signs opens no encrypted key beside a certificate; write a decrypted one for "
            "the time (openssl ec -in KEY -out PLAIN)"
        )
    extensions = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions
    uses = [each.value for each in extensions]
    if any(isinstance(use, x509.KeyUsage) and use.digital_signature for use in uses):
        return
    signs = ExtendedKeyUsageOID.CODE_SIGNING
    if not any(isinstance(use, x509.ExtendedKeyUsage) and signs in use for use in uses):
        raise ValueError("the certificate may not be used for signing (KeyUsage, ExtendedKeyUsage)")


def check_signature(seal: str | Path, trusted: Sequence[str | Path]) -> str:
    """Hold a seal's files to its signature, and the signature to what is trusted.

    The dates of a certificate are not judged, since nothing in a signature proves when it was made.

    Args:
        seal: a sealed folder; `open_seal` has unpacked it where it was a zip.
        trusted: PEM files, of which one must fit: a public key, or the root certificates of the signer's.

    Returns:
        Which of them fits, in words.

    Raises:
        BadRequest: a file is neither a key nor a certificate; none is given.
        Refused: the seal is not signed, by something else, or is not what was signed.
        MissingExtra: the library for signatures is not installed.
    """
    folder = Path(seal)
    name = shown(folder)
    checks = [(path, *_verifier(Path(path))) for path in trusted]
    if not checks:
        raise BadRequest("trust: expected a public key or a root certificate, got none.")
    signature = folder / SIGNATURE
    if not signature.is_file() or signature.is_symlink():
        raise Refused(
            f"{name}: expected a seal that is signed, got one without {SIGNATURE}. Ask its maker to sign it "
            "(signet sign), or do without --trust."
        )
    if signature.stat().st_size > MOST_SIGNATURE_BYTES:
        raise Refused(f"{name}: expected a {SIGNATURE} of at most {MOST_SIGNATURE_BYTES} bytes.")
    reasons = []
    for path, words, verifier in checks:
        try:
            verifier.verify(folder, signature)
            if MANIFEST not in _signed_names(signature):
                raise ValueError(f"{MANIFEST} is not among the files that were signed")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001  (a hostile bundle can make the library raise anything)
            reasons.append(f"{shown(path)}: {shown(str(error) or type(error).__name__)}")
        else:
            return f"{words} {shown(path)}"
    raise Refused(
        f"{name}: expected a signature of what the seal holds by one that you trust, got another: "
        f"{'; '.join(reasons)}. Do not use it; get it again from who signed it."
    )


def _verifier(path: Path) -> tuple[str, Any]:
    """(what it is in words, the library's check) of a public key or of certificates."""
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise BadRequest(f"trust: {shown(path)} cannot be read as PEM: {shown(error)}.") from error
    config = _library().verifying.Config()
    try:
        if _KEY in text:
            return "the key", config.use_elliptic_key_verifier(public_key=path)
        if _CERTIFICATE in text:
            return "a certificate of", config.use_certificate_verifier(certificate_chain=[path])
    except Exception as error:
        raise BadRequest(f"trust: {shown(path)}: {shown(error)}.") from error
    raise BadRequest(
        f"trust: {shown(path)}: expected a PEM file with a public key ({_KEY}) or with certificates "
        f"({_CERTIFICATE}), got neither. A private key stays with who signs."
    )


def _signed_names(signature: Path) -> Iterator[str]:
    """The files that a signature, which was checked, speaks of."""
    payload = json.loads(signature.read_bytes())["dsseEnvelope"]["payload"]
    yield from (file["name"] for file in json.loads(base64.b64decode(payload))["predicate"]["resources"])


def _hashing(library: Any) -> Any:
    """All files but the signature, as sha256."""
    config = library.hashing.Config().use_file_serialization(hashing_algorithm="sha256")
    return config.set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _library() -> Any:
    try:
        import model_signing
    except ImportError as error:
        raise MissingExtra("Signing, and checking signatures,", "sign", str(error.name)) from error
    return model_signing
