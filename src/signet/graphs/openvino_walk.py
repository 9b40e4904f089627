"""An OpenVINO model as the walk sees it. A value is written NODE:PORT.

Source: OpenVINO operation sets 1 to 17.
"""

from __future__ import annotations

from typing import Any

from signet.graphs.walk import Layer, Role, Shape, Step, words

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("Identity", "Convert", "Reshape", "Squeeze", "Unsqueeze", "Result"), "passed"),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Sigmoid", "HardSigmoid", "Relu", "Transpose"), "bent"),
    "FakeQuantize": "bent",
    **dict.fromkeys(("ReduceMean", "AvgPool", "AdaptiveAvgPool"), "average"),
}
_ELEMENTWISE = frozenset({"Add", "Subtract", "Multiply", "Divide"})


class OpenvinoView:
    """See `View`; also finds the output that a value stands for.

    Attributes:
        varying: all values that depend on an input's values; what depends on its shape alone is left out.
    """

    def __init__(self, model: Any) -> None:
        self._outputs: dict[str, Any] = {}
        self.varying: set[str] = set()
        for node in model.get_ordered_ops():
            computed = node.get_type_name() in ("Parameter", "ReadValue") or "Random" in node.get_type_name()
            computed = computed or any(key in self.varying for key in _sources(node))
            computed = computed and node.get_type_name() != "ShapeOf"
            for output in node.outputs():
                self._outputs[value_of(output)] = output
                if computed:
                    self.varying.add(value_of(output))

    def output(self, value: str) -> Any:
        """The `openvino.Output` of a value."""
        return self._outputs[value]

    def named(self, name: str) -> str | None:
        """The value whose tensor or node has this name."""
        for value, output in self._outputs.items():
            if name in output.get_names() or name in (value, output.get_node().get_friendly_name()):
                return value
        return None

    def shape(self, value: str) -> Shape | None:
        """See `View.shape`."""
        return shape_of(self._outputs[value])

    def step(self, value: str) -> Step | None:
        """See `View.step`."""
        node = self._outputs[value].get_node()
        operator, sources = node.get_type_name(), _sources(node)
        if value not in self.varying or not sources:
            return None
        inputs = tuple(key for key in sources if key in self.varying)
        if operator in ("MatMul", "Convolution"):
            return Step(operator, "layer", inputs, self._layer(node, inputs == (sources[0],)))
        if operator in _ELEMENTWISE:
            added: Role = "sum" if operator == "Add" else "other"
            return Step(operator, "scale" if len(inputs) == 1 else added, inputs)
        return Step(operator, _ROLES.get(operator, "other") if inputs[0] == sources[0] else "other", inputs)

    def _layer(self, node: Any, constant_weights: bool) -> Layer:
        name, shape = node.get_friendly_name(), shape_of(node.output(0))
        problem = "" if constant_weights else "has no constant weights"
        if node.get_type_name() == "MatMul":
            if node.get_attributes().get("transpose_a"):
                problem = "has no constant weights"
            features = shape_of(node.input(0).get_source_output()) or ()
            return Layer(name, "matrix", shape[-1] if shape else None, features[1:-1], problem)
        weights = shape_of(node.input(1).get_source_output())
        if weights is None or any(axis != 1 for axis in weights[2:]):
            problem = problem or f"is a convolution of {words(weights)}, not one of single positions"
        return Layer(name, "map", weights[0] if weights else None, shape[2:] if shape else (), problem)


def value_of(output: Any) -> str:
    """How an output is written."""
    return f"{output.get_node().get_name()}:{output.get_index()}"


def shape_of(output: Any) -> Shape | None:
    """What is known of an output's shape."""
    shape = output.get_partial_shape()
    if shape.rank.is_dynamic:
        return None
    return tuple(axis.get_length() if axis.is_static else None for axis in shape)


def _sources(node: Any) -> list[str]:
    return [value_of(port.get_source_output()) for port in node.inputs()]
