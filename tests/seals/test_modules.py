"""`seal_module`: what a user's own module may be, and what is said of one that cannot be sealed."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest

from signet.errors import BadGraph, BadInput, BadRequest, UnknownName, WrongTask
from signet.models import load
from signet.sealing import SealSettings, seal_module
from signet.seals import open_seal
from signet.verification import verify

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")


class Own(torch.nn.Module):
    """Three classes from 16 x 16 pixels, with a last word of the test's."""

    def __init__(self, last, classes=3):
        super().__init__()
        self.body = torch.nn.Conv2d(3, 8, 3, 2, 1)
        self.head = torch.nn.Linear(8, classes)
        self.last = last

    def forward(self, images):
        return self.last(images, self.head(self.body(images).relu().mean((2, 3))))


def _card(tiny, **output):
    card = open_seal(tiny).card
    output = dataclasses.replace(card.output, tensor=0, features=None, **output)
    return dataclasses.replace(card, output=output, inputs=())


@pytest.mark.parametrize(
    "last",
    [lambda _, logits: (logits, logits * 2), lambda _, logits: {"logits": logits}],
    ids=["a tuple", "a mapping"],
)
def test_of_several_answers_the_first_is_sealed(tiny, tmp_path, last):
    module = Own(last)
    sealed = seal_module(module, _card(tiny), out=tmp_path / "own.signet")
    assert verify(sealed, engine="onnx").ok
    with load(sealed.path, engine="onnx") as model:
        batch = model.prepare([model.read(path) for path in sealed.golden])
        with torch.no_grad():
            whole = module(torch.from_numpy(np.asarray(batch.arrays)))
        first = whole[0] if isinstance(whole, tuple) else whole["logits"]
        assert np.allclose(next(iter(model.run(batch).values())), first.numpy(), atol=1e-5)


REFUSED = {
    "another order": (lambda _, logits: (logits[:, :2], logits), BadInput, "expected 3 classes"),
    "rows as columns": (lambda _, logits: logits.T, BadInput, "one row for each image"),
    "one number": (lambda _, logits: logits.sum(), BadInput, "one row for each image"),
    "by the batch": (lambda _, logits: logits - logits.mean(0, keepdim=True), BadInput, "two images at once"),
    "by chance": (lambda _, logits: logits + torch.rand(3), BadInput, "asked twice"),
    "not a number": (lambda _, logits: logits * float("nan"), BadInput, "NaN"),
    "by its values": (lambda x, logits: logits if x.mean() > 0 else -logits, BadGraph, "data-dependent"),
    "an error": (lambda *_: int("boom"), BadGraph, "ValueError: .*boom"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_module_that_does_not_answer_for_each_image_by_itself_is_refused(tiny, tmp_path, name):
    last, error, words = REFUSED[name]
    with pytest.raises(error, match=words) as caught:
        seal_module(Own(last), _card(tiny), out=tmp_path / "own.signet")
    assert "\x1b" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.signet"]


def test_labels_and_classes_must_be_as_many(tiny, tmp_path):
    module = Own(lambda _, logits: logits, classes=5)
    for card in (_card(tiny), _card(tiny, classes=None)):
        with pytest.raises(BadInput, match=r"3 (classes|labels)"):
            seal_module(module, card, out=tmp_path / "own.signet")


def test_a_value_that_the_exporter_fixed_is_found(tiny, tmp_path):
    class Fixed(Own):
        def forward(self, images):
            # What tracing sees is an image of zeros; control flow in Python is taken once.
            noise = 0.0 if torch.jit.is_tracing() or torch.compiler.is_exporting() else 1.0
            return self.head(self.body(images).relu().mean((2, 3))) + noise

    with pytest.raises(BadInput, match="differs from the module's"):
        seal_module(Fixed(None), _card(tiny), out=tmp_path / "own.signet")


def test_a_head_and_a_module_that_cannot_be_used_are_named(tiny, tmp_path):
    module = Own(lambda _, logits: logits)
    for name in ("heat", ""):
        with pytest.raises(UnknownName, match="layer"):
            seal_module(
                module, _card(tiny), out=tmp_path / "o.signet", settings=SealSettings(classifier=name)
            )
    module.lock = threading.Lock()
    with pytest.raises(BadRequest, match="cannot be copied"):
        seal_module(module, _card(tiny), out=tmp_path / "o.signet")


def test_a_detectors_module_is_sealed_as_a_file(tiny, photos, tmp_path):
    card = dataclasses.replace(_card(tiny, head="yolox"), task="detect")
    with pytest.raises(WrongTask, match="ONNX file"):
        seal_module(Own(lambda _, answer: answer), card, photos, out=tmp_path / "x.signet")
