"""CoCa: the sizes that the paper states, and what may see what. Nobody published weights to compare with."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from signet.architectures.coca import CoCa, Settings  # noqa: E402

SMALL = Settings(
    width=32,
    heads=4,
    image_layers=2,
    image_inner=48,
    word_layers=2,
    word_inner=40,
    size=54,
    vocabulary=50,
    words=8,
    queries=5,
)


def count(module):
    return sum(value.numel() for value in module.parameters())


@pytest.fixture
def small():
    torch.manual_seed(0)
    return CoCa(SMALL, 7)


@pytest.fixture
def words():
    return torch.tensor([[1, 2, 3, 4], [9, 8, 7, 6]])


def test_both_halves_have_the_size_of_table_1():
    with torch.device("meta"):
        module = CoCa(Settings(), 1000)
    assert count(module) == 2_120_652_520
    assert round(count(module.image) / 1e9, 1) == 1.0
    assert round(count(module.text) / 1e9, 1) == 1.1


def test_the_text_is_as_large_as_open_clips_but_for_what_open_clip_adds():
    """Its multimodal layers have two MLPs, and a matrix of their own makes the answer."""
    pytest.importorskip("open_clip")
    from open_clip.transformer import MultimodalTransformer

    s = SMALL
    theirs = MultimodalTransformer(
        s.width, s.word_layers, s.heads, mlp_ratio=s.word_inner / s.width, output_dim=s.vocabulary
    )
    own = count(CoCa(s, 7).text.multimodal) + 2 * s.width  # and the last norm
    # A second MLP in each layer; norms of their own for the image's tokens; the matrix.
    mlp = 2 * s.width * s.word_inner + s.word_inner + s.width
    added = s.word_layers * (mlp + 2 * s.width + 2 * s.width) + s.width * s.vocabulary
    assert count(theirs) == own + added


def test_no_word_sees_a_later_one(small, pictures, words):
    changed = words.clone()
    changed[:, 2] = 30
    images = pictures(54, 54)
    with torch.no_grad():
        before, after = (small.eval().words(images, text) for text in (words, changed))
    assert before.shape == (2, 4, 50)
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.equal(before[:, 2], after[:, 2])


def test_words_depend_on_the_image_and_logits_do_not_on_words(small, pictures, words):
    images = pictures(54, 54)
    with torch.no_grad():
        assert small.eval()(images).shape == (2, 7)
        assert not torch.allclose(small.words(images, words), small.words(images.flip(0), words))


def test_every_parameter_learns(small, pictures, words):
    images = pictures(54, 54)
    _, vectors = small.text.alone(words)
    loss = small(images).square().mean() + small.words(images, words).square().mean() + vectors.sum()
    (loss + (vectors * small.seen(images)[1]).sum()).backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in small.parameters())
