"""`signet compress` as a command: exit code 3 where the gate refuses, and what is written then."""

import json

import pytest

from signet.cli.main import main


def test_that_a_network_built_to_collapse_is_refused(
    place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = place.root / "never.signet"
    words = ["compress", str(place.seal("outlier")), str(place.root / "data"), "--to", "int8"]
    words += ["--out", str(out), "--calibration", str(place.others), "--no-mixed", "--threads", "1", "--json"]
    assert main(words) == 3
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["seal"] is None
    assert found["drop"]["value"] > 0.3
    assert found["gate"]["passed"] is False
    assert "drops by" in found["gate"]["faults"][0]
    assert not out.exists()
    assert "Refused" in (place.root / "never.report.html").read_text("utf-8")
    assert main(words) == 2  # the report is there
    assert "exists already" in capsys.readouterr().err
