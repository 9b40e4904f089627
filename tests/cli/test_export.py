"""`signet export`: keys, exit codes, and what it leaves."""

from __future__ import annotations


def test_export_json_has_the_keys_of_the_contract(signet, sealed, tmp_path):
    ran = signet("export", sealed, "--to", "onnx", "--out", tmp_path / "new" / "m.onnx", "--json")
    assert ran.code == 0
    assert list(ran.object) == ["path", "verdict", "files", "notes"]
    assert ran.object["path"] == str(tmp_path / "new" / "m.onnx")
    verdict = ran.object["verdict"]
    assert verdict["ok"]
    assert verdict["first_divergence"] is None
    assert verdict["decisions"]["agree"] == verdict["decisions"]["total"] > 0
    assert verdict["engine"] == "onnx"


def test_an_exported_file_predicts_at_once(signet, sealed, pictures, tmp_path):
    words = ["--to", "openvino", "--preprocessing", "in", "--snippet", "none"]
    ran = signet("export", sealed, *words, "--out", tmp_path / "m.xml")
    assert ran.code == 0
    assert f"written: {tmp_path / 'm.xml'}\n" in ran.out
    assert "all 8 stages agree" in ran.err or "stages agree with what was sealed" in ran.err
    assert not (tmp_path / "m.py").exists()
    rows = [
        signet("predict", model, *pictures, "--precision", "fp32").lines
        for model in (sealed, tmp_path / "m.xml")
    ]
    assert [row["top"][0]["label"] for row in rows[0]] == [row["top"][0]["label"] for row in rows[1]]


def test_what_is_asked_wrongly_exits_with_2(signet, sealed, classifier, tmp_path):
    out = tmp_path / "m.onnx"
    assert signet("export", classifier, "--to", "onnx", "--out", out).code == 2
    assert signet("export", sealed, "--to", "onnx", "--out", tmp_path / "m.xml").code == 2
    assert signet("export", sealed, "--to", "onnx", "--out", out).code == 0
    ran = signet("export", sealed, "--to", "onnx", "--out", out)
    assert ran.code == 2
    assert "--overwrite" in ran.err
    assert signet("export", sealed, "--to", "onnx", "--out", out, "--overwrite").code == 0


def test_a_file_that_answers_otherwise_exits_with_1(signet, sealed, tmp_path, monkeypatch):
    from signet.exporting import to_onnx

    honest = to_onnx.write

    def write(materials, preprocessing, to):
        import onnx
        from onnx import numpy_helper

        card = honest(materials, preprocessing, to)
        model = onnx.load(to)
        weights = next(tensor for tensor in model.graph.initializer if tensor.name == "weights")
        weights.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weights), "weights"))
        onnx.save(model, to)
        return card

    monkeypatch.setattr(to_onnx, "write", write)
    ran = signet("export", sealed, "--to", "onnx", "--out", tmp_path / "m.onnx", "--json")
    assert ran.code == 1
    assert ran.object["path"] is None
    assert ran.object["verdict"]["first_divergence"] == "network"
    assert list(tmp_path.iterdir()) == []
    assert signet("export", sealed, "--to", "onnx", "--out", tmp_path / "m.onnx", "--keep").code == 1
    assert (tmp_path / "m.onnx").is_file()
