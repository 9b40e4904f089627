"""`signet choose`: keys, exit codes, the table, the report."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def dataset(tmp_path):
    """Two classes of 30 noisy pictures, red and blue."""
    generator = np.random.default_rng(0)
    for place, label in ((0, "red"), (2, "blue")):
        folder = tmp_path / "data" / label
        folder.mkdir(parents=True)
        for number in range(30):
            pixels = generator.integers(0, 200, (20, 20, 3)).astype(np.uint8)
            pixels[..., place] += 50
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "data"


def test_the_pick_with_the_keys_of_the_contract(signet, classifier, dataset):
    ran = signet("choose", dataset, "--candidates", f"{classifier},starter", "--json", "--offline")
    assert ran.code == 0
    # Both make no mistake: the faster one is picked, and which that is, only this machine knows.
    assert {row["name"] for row in ran.object["ranking"]} == {str(classifier), "starter"}
    assert ran.object["pick"] in {str(classifier), "starter"}
    assert ran.object["baseline"] is None
    assert 0 <= ran.object["regret"] <= 1
    assert ran.object["images"] == 60


def test_the_table_and_the_report_for_a_person(signet, classifier, dataset, tmp_path):
    page = tmp_path / "page.html"
    given = ("--candidates", classifier, "--candidates", "starter", "--max-params", "1M")
    ran = signet("choose", dataset, *given, "--report", page, "--no-audit", "--offline")
    # The starter has more parameters, and those of a graph are not known.
    assert ran.code == 3
    assert "No candidate keeps the limits" in ran.err
    assert not page.exists()
    ran = signet("choose", dataset, *given[:4], "--report", page, "--no-audit", "--offline")
    assert ran.code == 0
    (pick,) = [name for name in (str(classifier), "starter") if f"pick: {name}" in ran.out]
    assert f"{pick} *" in ran.out
    assert f"next: {'starter' if pick == str(classifier) else classifier}" in ran.out
    text = page.read_text("utf-8")
    assert "Accuracy, time and size" in text
    assert "Nothing" not in text
    again = signet("choose", dataset, *given[:4], "--report", page, "--no-audit", "--offline")
    assert again.code == 2  # the page is there


def test_a_wrong_wish_is_exit_2(signet, classifier, dataset):
    for wrong in (("--budget", "0"), ("--licence", "permisive"), ("--share", "2"), ("--max-params", "many")):
        assert signet("choose", dataset, "--candidates", classifier, *wrong).code == 2
    ran = signet("choose", dataset, "--candidates", "timm/resnet5.a1_in1k", "--offline")
    assert ran.code == 2
    assert "Did you mean" in ran.err
