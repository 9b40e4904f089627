"""What each stage gives for an image: made once when a model is sealed, replayed when it is verified."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from signet import evidence_objects, machine
from signet.agreement import alike, alike_unseen
from signet.answers import chosen, features, head_of, logits, probabilities
from signet.arrays import Array, Floats
from signet.batches import Outputs
from signet.cards import Card, OutputContract
from signet.decoding import read
from signet.engines.contract import EngineSettings, Precision
from signet.errors import BadGraph, BadInput, EngineError, WrongTask
from signet.evidence_objects import sees
from signet.graphs.opening import is_quantized
from signet.images import Image
from signet.models import Model
from signet.networks import GraphFile, Pretrained, Variant
from signet.predictions import Prediction
from signet.preprocessing import stages
from signet.programs import Program
from signet.running import Evidence, Running, open_engine
from signet.seals import Expected, GoldenImage, digest_of_labels
from signet.seals.sampling import kept
from signet.steps import Read

LIBRARIES = ("signet", "numpy", "pillow", "simplejpeg", "onnxruntime", "openvino")
"""Whose versions the evidence states: they can change a pixel or a logit."""

STEADY_RELATIVE = 1e-3
STEADY_ABSOLUTE = 1e-5
"""By how much the raw answer of one network in fp32 may differ from one run to another, relative to its
greatest value and absolutely. Kernels add up in another order: at most 3e-6 was measured between ONNX
Runtime, OpenVINO and torch on three networks, and 0.14 in bf16; the rest is room for other processors."""

_QUANTIZED = (np.dtype(np.uint8), np.dtype(np.int8))


def program_stages(source: str | Path | bytes, program: Program) -> Iterator[tuple[str, Array]]:
    """Every stage of a program on one image file, by the reference executor.

    Args:
        source: the file, or its bytes.
        program: its preprocessing.

    Yields:
        (stage, array) in the program's own order: "read" is the picture as stored, "orient" the upright one.
        A stage that comes twice is `NAME.2` then.

    Raises:
        BadInput: the file is no image, or a step cannot be done on it.
    """
    stored = read(source, orient=False)
    _, as_stored, _ = next(stages(stored, Program((program.steps[0],))))
    yield "read", as_stored
    counts: dict[str, int] = {}
    for name, array, _ in stages(decoded(source, program), program):
        # The executor's own first stage is the picture that it starts from, upright already.
        stage = "orient" if name == "read" else name
        counts[stage] = counts.get(stage, 0) + 1
        yield stage if counts[stage] == 1 else f"{stage}.{counts[stage]}", array


def decoded(source: str | Path | bytes, program: Program) -> Image:
    """The image that a program starts from: upright, unless the program says otherwise."""
    first = program.steps[0]
    return read(source, orient=not isinstance(first, Read) or first.orient)


def network_stages(model: Model[Prediction], image: Image) -> dict[str, Array]:
    """What a model's engine and its answer make of a decoded image.

    Returns:
        `network_outputs` and `answer_stages` together: "network", "features" where the network has them,
        "head", "answer" and, for a classifier, "decision" and "label".

    Raises:
        EngineError: the network refuses the image.
        BadInput: its output is not what the card says.
        WrongTask: it neither classifies nor embeds.
    """
    found = network_outputs(model, image)
    return {**found, **answer_stages(found["network"], model.card)}


def network_outputs(model: Model[Prediction], image: Image) -> dict[str, Array]:
    """What a model's engine makes of a decoded image.

    Returns:
        "network" (the raw answer, float32 or quantized) and "features" (float32 (D,), where the network has
        them). Without a batch axis.

    Raises:
        EngineError: the network refuses the image.
        BadInput: it has no such output, or one without an axis for the images.
    """
    contract = model.card.output
    outputs = model.run(model.prepare([image]))
    raw = chosen(outputs, contract.tensor)
    if raw.ndim < 1 or len(raw) != 1:
        raise BadInput(
            "the network's output: expected one row for each image, (N, ...); "
            f"got an array of shape {raw.shape} for one image."
        )
    network = raw[0]
    found = {"network": network if network.dtype in _QUANTIZED else network.astype(np.float32)}
    if contract.features is not None and contract.head != "embedding":
        found["features"] = features(outputs, contract)[0]
    return found


def answer_stages(network: Array, card: Card) -> dict[str, Array]:
    """What the card's output contract makes of one raw answer.

    Returns:
        "head" (float32, logits or the vector), "answer" (float32, probabilities or the vector) and, for a
        classifier, "decision" (int64 (1,), index of the first label) and "label" (its UTF-8 bytes).

    Raises:
        BadInput: the raw answer is not what the card says.
        WrongTask: the model neither classifies nor embeds.
    """
    if not network.size:
        raise BadInput("the network's output: expected numbers, got an array without any.")
    contract = dataclasses.replace(card.output, tensor=0)
    outputs = Outputs({"network": network[None]})
    if contract.head == "embedding":
        vector = features(outputs, contract)[0]
        return {"head": vector, "answer": vector}
    raw = logits(outputs, contract)
    answer = probabilities(raw, contract)[0]
    if not answer.size:
        raise BadInput("the network's output: expected at least one class besides the background, got none.")
    index = int(answer.argmax())
    return {
        "head": raw[0],
        "answer": answer,
        "decision": np.array([index], np.int64),
        "label": label_bytes(card, index),
    }


def label_bytes(card: Card, index: int) -> Array:
    """uint8: the UTF-8 of a label's name; empty when the card has no name for it."""
    labels = card.labels or ()
    name = labels[index] if 0 <= index < len(labels) else ""
    return np.frombuffer(name.encode(), np.uint8)


def expected_from(
    card: Card, graph: GraphFile, golden: Sequence[GoldenImage], settings: EngineSettings
) -> Expected:
    """The golden evidence of a model: reference executor, and its graph in fp32.

    Raises:
        WrongTask: the card's head is not one of its task.
        EngineError: no engine can run the graph.
        BadInput: the network's output is not what the card says, is no number, or is another one when it is
            asked again or together with another image.
    """
    check_task(card)
    tensors: dict[str, Array] = {}
    order: tuple[str, ...] = ()
    once: list[Mapping[str, Array]] = []
    with reference_model(card, graph, settings) as model:
        for place, image in enumerate(golden):
            rows = list(program_stages(image.data, card.program))
            raw, answered = _evidence_of(model, decoded(image.data, card.program))
            most = evidence_objects.MOST_PREPARED if sees(card) else None
            for name, array in rows:
                whole = {name: array} if most is None else kept(name, array, most)
                tensors |= {f"{place}/{key}": value for key, value in whole.items()}
            tensors |= {f"{place}/{name}": array for name, array in answered.items()}
            order = (*(name for name, _ in rows), *_answer_stages(answered))
            once.append(raw)
        _check_steady(model, golden, once)
        reference = f"{model.engine.name} {model.engine.version} {model.engine.precision}"
    versions = {name: version for name, version in machine.versions().items() if name in LIBRARIES}
    return Expected(order, tensors, digest_of_labels(card.labels), versions, reference)


def variant_of(
    card: Card,
    graph: GraphFile,
    golden: Sequence[GoldenImage],
    others: Sequence[Image | str | Path],
    settings: EngineSettings,
    unseen: Floats | None = None,
) -> tuple[Variant, ...]:
    """How OpenVINO in bf16 decides on this processor, compared with the reference in fp32.

    Args:
        card: of anything but a model of vectors, which have no decisions to compare.
        graph: its network.
        golden: compared first.
        others: further images; those that cannot be read are left out.
        settings: threads and cache.
        unseen: float32 (len(others), C), where the model's head has learned from them: logits of one that has
            not (`alike_unseen`). A row with NaN says nothing of its image.

    Returns:
        One variant, or nothing where this processor has no bf16, the graph is quantized, OpenVINO is not
        installed, or it cannot run a network that the reference runs.
    """
    from signet.engines import on_openvino

    if card.task == "embed" or is_quantized(graph):
        return ()
    if on_openvino.unavailable() or not on_openvino.has_bf16():
        return ()
    equal: list[bool] = []
    try:
        other = _opened(card, graph, "openvino", dataclasses.replace(settings, precision="bf16"))
    except (EngineError, BadGraph):
        return ()
    with reference_model(card, graph, settings) as reference, other as model:
        images = _decoded(golden, others, card.program)
        for done, (image, place) in enumerate(images, 1):
            pair = reference([image])[0], model([image])[0]
            row = None if unseen is None or place is None else unseen[place]
            if row is None or not np.isfinite(row).all():
                equal.append(alike(*pair))
            else:
                equal.append(alike_unseen(*pair, row, card.output.temperature))
            # A flipped golden image forbids bf16, and so do too many others: no rest can make up for them.
            if done >= len(golden) and (
                not all(equal[: len(golden)]) or Evidence(done, sum(equal)).hopeless(len(images) - done)
            ):
                break
        version = machine.versions().get("openvino", model.engine.version)
    first = equal[: len(golden)]
    return (
        Variant(
            engine="openvino",
            version=version,
            processor=machine.processor(),
            precision="bf16",
            compared=len(equal),
            equal=sum(equal),
            golden=len(first),
            golden_equal=sum(first),
        ),
    )


def reference_model(card: Card, graph: GraphFile, settings: EngineSettings) -> Model[Prediction]:
    """A graph on the engine that the evidence is made with: ONNX Runtime where it can, in fp32.

    ONNX Runtime takes what the reference executor prepared, so nothing is fused in the reference. A quantized
    graph runs in int8 as far as it says so; there is no other arithmetic that would be its own.
    """
    engine = "onnx" if graph.format == "onnx" else "openvino"
    precision: Precision = "int8" if is_quantized(graph) else "fp32"
    return _opened(card, graph, engine, dataclasses.replace(settings, precision=precision))


def without_missing_features(card: Card, graph: GraphFile, settings: EngineSettings) -> Card:
    """The card, no longer promising features that the graph has no output for."""
    place = card.output.features
    if place is None:
        return card
    with reference_model(card, graph, settings) as model:
        names = model.engine.outputs
    there = place in names if isinstance(place, str) else place < len(names)
    output: OutputContract = dataclasses.replace(card.output, features=None)
    return card if there else dataclasses.replace(card, output=output)


def check_task(card: Card) -> None:
    """Refuse to seal what has no decision or vector to hold it to.

    Raises:
        WrongTask: the head does not answer the task.
        BadCard: the same, of a detector or segmenter, or a field of its head cannot be.
    """
    if sees(card):
        head_of(card)
    elif card.output.head not in ("softmax", "sigmoid", "embedding"):
        raise WrongTask(
            f"{card.name}: expected a head of the task {card.task!r}, which are softmax, sigmoid and "
            f"embedding; got {card.output.head!r}."
        )


def _evidence_of(model: Model[Prediction], image: Image) -> tuple[dict[str, Array], dict[str, Array]]:
    """(raw outputs by name, tensors of the stages from "network" on) of a decoded image."""
    if sees(model.card):
        seen = evidence_objects.outputs_of(model, image)
        return dict(seen.arrays), evidence_objects.tensors_of(seen, model.card)
    answered = network_stages(model, image)
    _check_names(model.card, answered)
    return {"network": answered["network"]}, answered


def _check_names(card: Card, answered: Mapping[str, Array]) -> None:
    """As many names as scores, and numbers throughout: nobody can be held to anything else."""
    scores = answered["answer"].size
    if card.labels is not None and card.output.head != "embedding" and len(card.labels) != scores:
        raise BadInput(
            f"{card.name}: expected as many labels as the network has classes, "
            f"got {len(card.labels)} labels and {scores} classes."
        )
    for name in ("network", "features", "answer"):
        if name in answered and not np.isfinite(answered[name]).all():
            raise BadInput(f"the network's {name}: expected numbers, got a NaN or an infinity.")


def _check_steady(
    model: Model[Prediction], golden: Sequence[GoldenImage], once: Sequence[Mapping[str, Array]]
) -> None:
    """An answer that depends on chance, or on the other images of a batch, is evidence of nothing."""
    images = [decoded(image.data, model.card.program) for image in golden[:2]]
    _check_close(model, images[:1], once[:1], "it is asked twice: expected a network without random steps")
    batch = model.prepare(images)
    if not isinstance(batch.arrays, np.ndarray):
        return
    words = "it is asked for two images at once: expected a network that answers for each image by itself"
    _check_close(model, images, once, words)


def _check_close(
    model: Model[Prediction], images: list[Image], once: Sequence[Mapping[str, Array]], words: str
) -> None:
    for arrays, before in zip(_raw(model, images), once, strict=False):
        for name, array in arrays.items():
            difference = _apart(array, before[name])
            quantum = 1 if before[name].dtype in _QUANTIZED else 0
            greatest = float(np.abs(before[name].astype(np.float64)).max())
            if not difference <= STEADY_RELATIVE * greatest + STEADY_ABSOLUTE + quantum:
                raise BadInput(
                    f"{model.card.name}: the network's answer for an image changes by {difference:.3g} "
                    f"when {words}."
                )


def _raw(model: Model[Prediction], images: list[Image]) -> list[dict[str, Array]]:
    """Raw outputs by name, of each image of one batch."""
    batch = model.prepare(images)
    outputs = model.run(batch)
    if sees(model.card):
        return [dict(seen.arrays) for seen in evidence_objects.rows_of(outputs, model.card, batch)]
    return [{"network": row} for row in chosen(outputs, model.card.output.tensor)]


def _apart(one: Array, two: Array) -> float:
    if one.shape != two.shape:
        return float("inf")
    return float(np.abs(one.astype(np.float64) - two.astype(np.float64)).max())


def _answer_stages(answered: Mapping[str, Array]) -> list[str]:
    bases = {name.partition(".")[0] for name in answered}
    return [name for name in ("network", "head", "answer", "decision") if name in bases]


def _opened(card: Card, graph: GraphFile, engine: str, settings: EngineSettings) -> Model[Prediction]:
    pretrained = Pretrained(card, (graph,), graph.digest, "file")
    # One image at a time: that is how evidence is made, and how it is replayed.
    one = dataclasses.replace(settings, batch=1, workers=1, device="cpu")
    precision: Precision = one.precision
    return Model(pretrained, Running(open_engine(pretrained, engine, one), one, f"{precision} for evidence"))


def _decoded(
    golden: Sequence[GoldenImage], others: Sequence[Image | str | Path], program: Program
) -> list[tuple[Image, int | None]]:
    """Each image with its place among the others; those that cannot be read are left out."""
    images: list[tuple[Image, int | None]] = [(decoded(image.data, program), None) for image in golden]
    for place, other in enumerate(others):
        try:
            images.append((other if isinstance(other, Image) else decoded(other, program), place))
        except BadInput:
            continue
    return images
