"""A functional Keras model as one torch network, cut into stages wherever one map holds all there is.

The children of the network are `stage1`, `stage2`, ... (one for each resolution of the maps), `head` (what
comes between the last map and the classifier), `classifier` and `shape`. Inside a stage each layer has the
name that Keras gives it in a fresh process: Keras numbers unnamed layers through the whole process, so the
names of the model at hand depend on what was built before.

Shape suffixes: N images, H rows, W columns, C classes.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from signet.errors import BadInput
from signet.zoos.keras_layers import Affine
from signet.zoos.keras_translation import translated

CLASSIFIER = "classifier"
_SMALLER = 0.75
"""A map below this share of a stage's first one begins the next stage; less is lost at unpadded edges."""


class Step(NamedTuple):
    """One module at work.

    Attributes:
        name: unique in the network.
        module: what is applied.
        inputs: places of its inputs among all values; 0 is the image.
        height: rows of its output, or 1 for features.
    """

    name: str
    module: nn.Module
    inputs: tuple[int, ...]
    height: int


class Stage(nn.Module):
    """Some steps, from one tensor to one tensor."""

    def __init__(self, steps: Sequence[Step], before: int) -> None:
        super().__init__()
        # A value is let go after its last use; else a stage would hold every map of its layers at once.
        last = {place: number for number, step in enumerate(steps) for place in step.inputs}
        plan = []
        for number, step in enumerate(steps):
            self.add_module(step.name, step.module)
            done = tuple(place - before for place in sorted(set(step.inputs)) if last[place] == number)
            plan.append((step.name, tuple(place - before for place in step.inputs), done))
        self.plan = tuple(plan)

    def forward(self, maps: Tensor) -> Tensor:
        """What the last step makes of it."""
        values: list[Any] = [maps]
        for name, inputs, done in self.plan:
            values.append(getattr(self, name)(*[values[place] for place in inputs]))
            for place in done:
                values[place] = None
        answer: Tensor = values[-1]
        return answer


def network(model: Any, rescaled: Sequence[float] | None = None) -> nn.Sequential:
    """The torch network of a Keras model that ends in logits.

    Args:
        model: functional, with its weights; `classifier_activation=None`.
        rescaled: factors for each channel that follow the model's `Normalization`; see `from_keras`.

    Returns:
        A module from float32 (N, 3, H, W) to (N, C), in evaluation mode; its head is `classifier`.

    Raises:
        BadInput: a layer that is not translated.
    """
    steps = _steps(model, rescaled)
    weighted = [number for number, step in enumerate(steps) if any(True for _ in step.module.parameters())]
    place = weighted[-1]
    made: OrderedDict[str, nn.Module] = OrderedDict()
    body = list(steps[:place])
    before = 0
    groups = _groups(body)
    for number, group in enumerate(groups, start=1):
        name = "head" if number == len(groups) and group[-1].height == 1 else f"stage{number}"
        made[name] = Stage(group, before)
        before += len(group)
    made[CLASSIFIER] = steps[place].module
    if steps[place + 1 :]:
        made["shape"] = Stage(steps[place + 1 :], place + 1)
    return nn.Sequential(made).eval()


def names(layers: Sequence[Any]) -> list[str]:
    """The names of layers, those that Keras numbered by itself counted from the first one here."""
    seen: dict[str, int] = {}
    found = []
    for layer in layers:
        base = automatic(layer)
        if base is None:
            found.append(layer.name)
            continue
        count = seen.get(base, 0)
        seen[base] = count + 1
        found.append(f"{base}_{count}" if count else base)
    twice = {name for name in found if found.count(name) > 1}
    return [f"{name}__{number}" if name in twice else name for number, name in enumerate(found)]


def automatic(layer: Any) -> str | None:
    """The name without its number when Keras itself named the layer, else None."""
    base = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", type(layer).__name__))
    return base.lower() if re.fullmatch(rf"{base.lower()}(_\d+)?", layer.name) else None


def _steps(model: Any, rescaled: Sequence[float] | None) -> list[Step]:
    """Every layer in the order in which it can be computed, nested sequences laid open."""
    calls = _calls(model)
    places = {id(model.inputs[0]): 0}
    steps: list[Step] = []
    for (layer, inputs, constants, output), name in zip(
        calls, names([call[0] for call in calls]), strict=True
    ):
        taken = tuple(places[id(tensor)] for tensor in inputs)
        modules = _constant(layer, constants) or translated(layer, len(inputs[0].shape))
        if rescaled is not None and type(layer).__name__ == "Normalization":
            modules += (Affine(list(rescaled), 0.0),)
        height = int(output.shape[1]) if len(output.shape) == 4 else 1
        for number, module in enumerate(modules):
            own = name if number == 0 else f"{name}_then{number if number > 1 else ''}"
            steps.append(Step(own, module, taken, height))
            taken = (len(steps),)
        places[id(output)] = len(steps)
    if places[id(model.outputs[0])] != len(steps):
        raise BadInput(f"Keras model {model.name!r}: expected its last layer to give the answer.")
    return steps


Call = tuple[Any, list[Any], list[float], Any]
"""(layer or operation, input tensors, constants beside them, output tensor)."""


def _calls(model: Any) -> list[Call]:
    calls: list[Call] = []
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            inputs, constants = _arguments(node)
            layer, output = node.operation, node.outputs[0]
            if type(layer).__name__ == "Sequential":
                calls.extend(_opened(layer, inputs, output))
            else:
                calls.append((layer, inputs, constants, output))
    return calls


def _opened(sequence: Any, inputs: list[Any], output: Any) -> list[Call]:
    """The calls inside a nested Sequential; its own tensors stand for those in between."""
    inner = [layer for layer in sequence.layers if type(layer).__name__ != "InputLayer"]
    calls: list[Call] = []
    for number, layer in enumerate(inner):
        last = number == len(inner) - 1
        made = output if last else layer.output
        calls.append((layer, inputs, [], made))
        inputs = [made]
    return calls


def _arguments(node: Any) -> tuple[list[Any], list[float]]:
    """(tensors, numbers) that an operation is called with, in order.

    Raises:
        BadInput: something else among them.
    """
    tensors: list[Any] = []
    constants: list[float] = []
    named = {
        key: value for key, value in node.arguments.kwargs.items() if key != "training" and value is not None
    }
    for argument in (*node.arguments.args, *named.values()):
        for part in argument if isinstance(argument, list | tuple) else (argument,):
            if any(part is tensor for tensor in node.arguments.keras_tensors):
                tensors.append(part)
            elif isinstance(part, int | float) and not isinstance(part, bool):
                constants.append(float(part))
            else:
                raise BadInput(
                    f"Keras layer {node.operation.name!r}: its argument {part!r} is not translated."
                )
    return tensors, constants


def _constant(layer: Any, constants: list[float]) -> tuple[nn.Module, ...]:
    """`x + 3.0` and `x * (1 / 6)`, as operations of the graph."""
    match type(layer).__name__, constants:
        case _, []:
            return ()
        case "Add", [offset]:
            return (Affine(1.0, offset),)
        case "Multiply", [factor]:
            return (Affine(factor, 0.0),)
        case kind, _:
            raise BadInput(
                f"Keras layer {layer.name!r}: {kind} with the constants {constants} is not translated."
            )


def _groups(steps: Sequence[Step]) -> list[list[Step]]:
    """The steps cut where only one value is alive, put together while the maps stay about as large."""
    groups: list[list[Step]] = []
    first = 0
    for segment in _segments(steps):
        height = segment[-1].height
        learns = bool(groups) and any(True for step in groups[-1] for _ in step.module.parameters())
        if groups and (height >= _SMALLER * first or not learns):
            groups[-1].extend(segment)
            first = first if learns else height
        else:
            groups.append(list(segment))
            first = height
    return groups


def _segments(steps: Sequence[Step]) -> list[list[Step]]:
    """The shortest runs of steps that begin and end with one value."""
    last_use = {place: number for number, step in enumerate(steps) for place in step.inputs}
    segments: list[list[Step]] = [[]]
    furthest = -1  # step that last uses any value made so far, this step's own (place number + 1) left out
    for number, step in enumerate(steps):
        segments[-1].append(step)
        furthest = max(furthest, last_use.get(number, -1))
        if furthest <= number and number + 1 < len(steps):
            segments.append([])
    return segments
