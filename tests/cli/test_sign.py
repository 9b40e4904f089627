"""`signet sign` and `signet verify --trust`: what is said, and the exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("model_signing")

from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec

from signet.cli.main import main

COMMITTED = Path(__file__).resolve().parent.parent / "golden" / "seals" / "tiny-1.0.signet"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return Path(shutil.copytree(COMMITTED, tmp_path / "tiny.signet"))


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """The public key; the private one, with a password, lies beside it as `maker.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    locked = forms.BestAvailableEncryption(b"open sesame")
    (tmp_path / "maker.pem").write_bytes(
        key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, locked)
    )
    path = tmp_path / "maker.pub"
    path.write_bytes(
        key.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    )
    return path


def asked(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, Any]:
    code = main([*map(str, words), "--json", "--quiet"])
    return code, json.loads(capsys.readouterr().out)


def test_signed_and_trusted(
    tiny: Path, public: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = public.with_suffix(".pem")
    code, said = asked(capsys, "sign", tiny, "--key", key)
    assert (code, said["error"]["type"]) == (2, "BadRequest")
    monkeypatch.setenv("SIGNET_KEY_PASSWORD", "open sesame")
    code, said = asked(capsys, "sign", tiny, "--key", key)
    assert code == 0
    assert said["signature"] == str(tiny / "seal.sig")
    code, verdict = asked(capsys, "verify", tiny, "--trust", public)
    assert (code, verdict["ok"], verdict["digest"]) == (0, True, said["digest"])
    assert verdict["stages"][1]["name"] == "signature"
    assert verdict["decisions"]["agree"] == verdict["decisions"]["total"] > 0


def test_a_gate_of_trust_refuses_what_is_unsigned_or_altered(
    tiny: Path, public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, verdict = asked(capsys, "verify", tiny, "--trust", public)
    assert (code, verdict["ok"], verdict["first_divergence"]) == (3, False, "signature")
    assert verdict["decisions"] == {"agree": 0, "total": 0}
    with (tiny / "golden" / "0.jpg").open("ab") as stream:
        stream.write(b"!")
    code, verdict = asked(capsys, "verify", tiny, "--trust", public)
    assert (code, verdict["first_divergence"]) == (3, "integrity")
    assert asked(capsys, "verify", tiny)[0] == 1


def test_a_model_is_sealed_and_signed_in_one_go(
    tiny: Path,
    public: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIGNET_KEY_PASSWORD", "open sesame")
    out = tmp_path / "own.signet"
    code, _ = asked(capsys, "seal", tiny, "--out", out, "--sign", public.with_suffix(".pem"))
    assert code == 0
    assert asked(capsys, "verify", out, "--trust", public)[0] == 0


def test_a_certificate_without_a_key_is_asked_wrongly(
    tiny: Path, public: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = asked(
        capsys, "seal", tiny, "--out", tmp_path / "own.signet", "--certificate", tmp_path / "x.crt"
    )
    assert (code, "--sign" in said["error"]["message"]) == (2, True)
    assert not (tmp_path / "own.signet").exists()


def test_a_key_that_cannot_sign_leaves_no_seal_without_signature(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "own.signet"
    code, said = asked(capsys, "seal", tiny, "--out", out, "--sign", tmp_path / "nowhere.pem")
    assert (code, said["error"]["type"]) == (2, "BadRequest")
    assert not out.exists()
