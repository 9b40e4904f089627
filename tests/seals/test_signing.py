"""A signature tells who made a seal: of that very seal, by that very key, and nothing else passes."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("model_signing")

import model_signing
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from signet import pack, verify
from signet.errors import BadRequest, Refused, Tampered
from signet.seals import check_signature, open_seal, sign
from signet.seals.names import MOST_SIGNATURE_BYTES, SIGNATURE

from . import authority


@pytest.fixture
def keys(tmp_path: Path) -> authority.Pair:
    return authority.pair(tmp_path, "maker")


@pytest.fixture
def signed(tiny: Path, keys: authority.Pair) -> Path:
    sign(tiny, keys.private)
    return tiny


def test_a_signed_seal_is_the_same_seal_and_its_key_fits(tiny: Path, keys: authority.Pair) -> None:
    before = open_seal(tiny)
    assert before.signature is None
    path = sign(tiny, keys.private)
    after = open_seal(tiny)
    assert path == after.signature == tiny / SIGNATURE
    assert after.digest == before.digest
    assert check_signature(tiny, [keys.public]) == f"the key {keys.public}"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_curves(tiny: Path, tmp_path: Path, curve: ec.EllipticCurve) -> None:
    keys = authority.pair(tmp_path, "curve", key=ec.generate_private_key(curve))
    sign(tiny, keys.private)
    assert check_signature(tiny, [keys.public])


def test_a_key_with_a_password(tiny: Path, tmp_path: Path) -> None:
    keys = authority.pair(tmp_path, "locked", password=b"open sesame")
    for wrong in (None, "close sesame"):
        with pytest.raises(BadRequest, match="password"):
            sign(tiny, keys.private, password=wrong)
    assert not (tiny / SIGNATURE).exists()
    sign(tiny, keys.private, password="open sesame")
    assert check_signature(tiny, [keys.public])


@pytest.mark.parametrize(
    "key",
    [ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)],
    ids=["Ed25519", "RSA"],
)
def test_keys_of_other_kinds_are_refused_in_words(tiny: Path, tmp_path: Path, key: Any) -> None:
    keys = authority.pair(tmp_path, "other", key=key)
    with pytest.raises(BadRequest, match="P-256, P-384 or P-521"):
        sign(tiny, keys.private)
    assert not (tiny / SIGNATURE).exists()


def test_what_is_no_key_is_refused_in_words(tiny: Path, tmp_path: Path, keys: authority.Pair) -> None:
    for wrong in (tmp_path / "nowhere.pem", keys.public):
        with pytest.raises(BadRequest, match="expected a PEM private key"):
            sign(tiny, wrong)


def test_certificates_are_checked_by_their_root(tiny: Path, tmp_path: Path) -> None:
    root = authority.issued("root", authority=True)
    between = authority.issued("between", root, authority=True)
    maker = authority.issued("maker", between, authority=False)
    key = authority.pair(tmp_path, "maker", key=maker.key).private
    sign(tiny, key, certificate=authority.write(tmp_path / "chain.pem", maker, between))
    trusted = authority.write(tmp_path / "root.pem", root)
    assert check_signature(tiny, [trusted]) == f"a certificate of {trusted}"
    stranger = authority.write(tmp_path / "stranger.pem", authority.issued("root", authority=True))
    with pytest.raises(Refused, match="expected a signature"):
        check_signature(tiny, [stranger])


def test_a_single_certificate_below_its_root(tiny: Path, tmp_path: Path) -> None:
    root = authority.issued("root", authority=True)
    maker = authority.issued("maker", root, authority=False)
    key = authority.pair(tmp_path, "maker", key=maker.key).private
    sign(tiny, key, certificate=authority.write(tmp_path / "maker.crt", maker))
    assert check_signature(tiny, [authority.write(tmp_path / "root.pem", root)])


def test_a_certificate_of_another_key_or_another_use_is_refused(tiny: Path, tmp_path: Path) -> None:
    root = authority.issued("root", authority=True)
    maker = authority.issued("maker", root, authority=False, signs=False)
    other = authority.pair(tmp_path, "other").private
    certificate = authority.write(tmp_path / "maker.crt", maker)
    with pytest.raises(BadRequest, match="may not be used for signing"):
        sign(tiny, authority.pair(tmp_path, "maker", key=maker.key).private, certificate=certificate)
    fitting = authority.write(tmp_path / "fit.crt", authority.issued("maker", root, authority=False))
    with pytest.raises(BadRequest, match="does not match"):
        sign(tiny, other, certificate=fitting)
    assert not (tiny / SIGNATURE).exists()


@pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")  # the library's own
def test_a_signature_by_a_certificate_of_another_use_is_refused(tiny: Path, tmp_path: Path) -> None:
    root = authority.issued("root", authority=True)
    maker = authority.issued("maker", root, authority=False, signs=False)
    certificate = authority.write(tmp_path / "maker.crt", maker)
    config = model_signing.signing.Config().set_hashing_config(
        model_signing.hashing.Config().set_ignored_paths(paths=[SIGNATURE])
    )
    config.use_certificate_signer(
        private_key=authority.pair(tmp_path, "maker", key=maker.key).private,
        signing_certificate=certificate,
        certificate_chain=[certificate],
    ).sign(tiny, tiny / SIGNATURE)
    with pytest.raises(Refused, match="cannot be used for signing"):
        check_signature(tiny, [authority.write(tmp_path / "root.pem", root)])


def test_an_encrypted_key_beside_a_certificate_is_refused_in_words(tiny: Path, tmp_path: Path) -> None:
    maker = authority.issued("maker", authority=False)
    key = authority.pair(tmp_path, "maker", key=maker.key, password=b"open sesame").private
    with pytest.raises(BadRequest, match="no encrypted key beside a certificate"):
        sign(tiny, key, certificate=authority.write(tmp_path / "maker.crt", maker), password="open sesame")


def test_trusting_nobody_is_not_trusting_anybody(tiny: Path) -> None:
    with pytest.raises(BadRequest, match="got none"):
        verify(tiny, trust=[])
    assert verify(tiny, trust=None).ok


def test_one_of_several_that_are_trusted_is_enough(
    signed: Path, tmp_path: Path, keys: authority.Pair
) -> None:
    other = authority.pair(tmp_path, "other").public
    root = authority.write(tmp_path / "root.pem", authority.issued("root", authority=True))
    assert check_signature(signed, [other, root, keys.public]) == f"the key {keys.public}"
    with pytest.raises(Refused, match=r"other\.pub.*root\.pem"):
        check_signature(signed, [other, root])


def test_trusted_is_a_key_or_a_certificate_and_never_nothing(
    signed: Path, tmp_path: Path, keys: authority.Pair
) -> None:
    (tmp_path / "words.txt").write_text("trust me")
    (tmp_path / "broken.pub").write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    for wrong in ("words.txt", "broken.pub", "nowhere.pub", keys.private.name):
        with pytest.raises(BadRequest, match="trust"):
            check_signature(signed, [tmp_path / wrong])
    with pytest.raises(BadRequest, match="got none"):
        check_signature(signed, [])


def test_a_seal_made_anew_by_somebody_else_is_refused(signed: Path, keys: authority.Pair, forge: Any) -> None:
    forge(signed, lambda manifest: manifest["card"].update(labels=manifest["card"]["labels"][::-1]))
    assert open_seal(signed)  # the digests alone do not tell
    with pytest.raises(Refused, match=r"seal\.json"):
        check_signature(signed, [keys.public])


@pytest.mark.parametrize("change", ["altered", "missing", "more"])
def test_files_that_are_not_what_was_signed(signed: Path, keys: authority.Pair, change: str) -> None:
    file = signed / "golden" / "0.jpg"
    if change == "altered":
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
    elif change == "missing":
        file.unlink()
    else:
        (signed / "more.txt").write_text("more")
    with pytest.raises(Refused, match=r"more\.txt" if change == "more" else r"golden/0\.jpg"):
        check_signature(signed, [keys.public])
    with pytest.raises(Tampered):
        open_seal(signed)


def test_the_signature_of_another_seal_is_refused(signed: Path, keys: authority.Pair, forge: Any) -> None:
    kept = (signed / SIGNATURE).read_bytes()
    (signed / SIGNATURE).unlink()
    forge(signed, lambda manifest: manifest["card"].update(name="another"))
    sign(signed, keys.private)
    assert check_signature(signed, [keys.public])
    (signed / SIGNATURE).write_bytes(kept)
    with pytest.raises(Refused):
        check_signature(signed, [keys.public])


def test_unsigned(tiny: Path, keys: authority.Pair) -> None:
    with pytest.raises(Refused, match=r"without seal\.sig"):
        check_signature(tiny, [keys.public])


def test_a_link_and_a_giant_are_not_read(signed: Path, tmp_path: Path, keys: authority.Pair) -> None:
    moved = (signed / SIGNATURE).rename(tmp_path / "elsewhere.sig")
    (signed / SIGNATURE).symlink_to(moved)
    with pytest.raises(Refused, match="without"):
        check_signature(signed, [keys.public])
    (signed / SIGNATURE).unlink()
    with (signed / SIGNATURE).open("wb") as stream:
        stream.truncate(MOST_SIGNATURE_BYTES + 1)
    with pytest.raises(Refused, match="at most"):
        check_signature(signed, [keys.public])


def test_a_signature_that_leaves_the_manifest_out_says_nothing(tiny: Path, keys: authority.Pair) -> None:
    every = [path.relative_to(tiny).as_posix() for path in tiny.rglob("*") if path.is_file()]
    left_out = model_signing.hashing.Config().set_ignored_paths(paths=[*every, SIGNATURE])
    config = model_signing.signing.Config().set_hashing_config(left_out)
    config.use_elliptic_key_signer(private_key=keys.private).sign(tiny, tiny / SIGNATURE)
    with pytest.raises(Refused, match=r"seal\.json is not among"):
        check_signature(tiny, [keys.public])


def test_a_signature_of_part_of_the_files_is_held_to_all_by_the_digests(
    tiny: Path, keys: authority.Pair
) -> None:
    config = model_signing.signing.Config().set_hashing_config(
        model_signing.hashing.Config().set_ignored_paths(paths=["golden", SIGNATURE])
    )
    config.use_elliptic_key_signer(private_key=keys.private).sign(tiny, tiny / SIGNATURE)
    assert check_signature(tiny, [keys.public])
    (tiny / "golden" / "0.jpg").write_bytes(b"other")
    verdict = verify(tiny, trust=[keys.public])
    assert (verdict.ok, verdict.first_divergence) == (False, "integrity")


def test_it_travels_with_the_zip_and_under_other_names(
    signed: Path, tmp_path: Path, keys: authority.Pair
) -> None:
    renamed = signed.rename(tmp_path / "other.signet")
    zipped = pack(renamed)
    assert check_signature(open_seal(zipped).path, [keys.public])
    verdict = verify(zipped, trust=[keys.public])
    assert verdict.ok
    assert [stage.name for stage in verdict.stages][:2] == ["integrity", "signature"]
    with pytest.raises(BadRequest, match="then pack it"):
        sign(zipped, keys.private)


def test_nothing_is_signed_twice_unasked(signed: Path, tmp_path: Path, keys: authority.Pair) -> None:
    other = authority.pair(tmp_path, "other")
    with pytest.raises(BadRequest, match="--overwrite"):
        sign(signed, other.private)
    assert check_signature(signed, [keys.public])
    sign(signed, other.private, overwrite=True)
    assert check_signature(signed, [other.public])
    assert not [path for path in signed.parent.iterdir() if path.name.startswith(".")]


def test_what_is_not_what_was_sealed_is_not_signed(tiny: Path, keys: authority.Pair) -> None:
    (tiny / "more.txt").write_text("more")
    with pytest.raises(Tampered):
        sign(tiny, keys.private)
    assert not (tiny / SIGNATURE).exists()


def test_the_tool_of_openssf_accepts_it(signed: Path, keys: authority.Pair) -> None:
    words = ["verify", "key", str(signed), "--signature", str(signed / SIGNATURE)]
    command = [sys.executable, "-m", "model_signing", *words, "--public_key", str(keys.public)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=some.data())
def test_whatever_stands_there_is_refused_and_breaks_nothing(
    signed: Path, keys: authority.Pair, data: some.DataObject
) -> None:
    path = signed / SIGNATURE
    whole = path.read_bytes()
    try:
        if data.draw(some.booleans()):
            harmed = bytearray(whole)
            place = data.draw(some.integers(0, len(whole) - 1))
            harmed[place] ^= data.draw(some.integers(1, 255))
            path.write_bytes(harmed)
        else:
            path.write_text(json.dumps(data.draw(_ANYTHING)))
        try:
            check_signature(signed, [keys.public])
        except Refused:
            return
        # Some bytes of a bundle say nothing: what was signed, and by whom, is still the same.
        assert _said(path.read_bytes()) == _said(whole)
    finally:
        path.write_bytes(whole)


def _said(bundle: bytes) -> tuple[bytes, list[bytes]]:
    envelope = json.loads(bundle)["dsseEnvelope"]
    return base64.b64decode(envelope["payload"]), [
        base64.b64decode(each["sig"]) for each in envelope["signatures"]
    ]


_ANYTHING = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=8),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(
            some.sampled_from(["mediaType", "verificationMaterial", "dsseEnvelope", "payload", "signatures"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
