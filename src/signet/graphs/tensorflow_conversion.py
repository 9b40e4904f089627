"""Make OpenVINO IR of TensorFlow's files, in a process of its own.

`python -m signet.graphs.tensorflow_conversion SOURCE OUT WANTED`: native code reads a stranger's file here
and nowhere else. The last line on stdout is a JSON object:
`{"ok": true, "name", "dtype", "shape", "outputs"}` or `{"ok": false, "error": words}`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from signet.graphs.openvino_batch import with_true_batch
from signet.graphs.openvino_walk import shape_of
from signet.graphs.trial import limit_resources

MARK = ["signet", "source"]
"""Where the graph says that it comes from TensorFlow: its maps have their channels last or first."""


def main(arguments: Sequence[str]) -> int:
    """Convert SOURCE to OUT (`.xml`) as WANTED, a JSON object: see `from_tensorflow.Wanted`."""
    source, out, wanted = arguments
    limit_resources()
    try:
        answer = {"ok": True, **_convert(Path(source), Path(out), json.loads(wanted))}
    except Exception as error:  # noqa: BLE001  (each library has its own kinds, and all mean the same here)
        answer = {"ok": False, "error": _words(error)}
    sys.stdout.write(f"\n{json.dumps(answer)}\n")
    sys.stdout.flush()
    return 0


def _convert(source: Path, out: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    import openvino

    names: Sequence[str] = wanted["outputs"]
    model = openvino.Core().read_model(str(source)) if source.is_dir() else _frozen(source, wanted, names)
    if model.get_sinks():
        raise ValueError("it keeps a state between images, which a classifier does not")
    if len(model.inputs) != 1:
        inputs = ", ".join(min(port.get_names(), default="?") for port in model.inputs)
        raise ValueError(
            f"expected one input, an image, got {len(model.inputs)}: {inputs}. Freeze the graph for "
            "inference, or name the image's input, and the output, in the card"
        )
    model = _named(openvino, model, names)
    port = model.inputs[0]
    dtype = {"f32": "float32", "u8": "uint8"}.get(port.get_element_type().get_type_name())
    if dtype is None:
        raise ValueError(f"its input is of type {port.get_element_type()}; expected float32 or uint8")
    if shape_of(port) is None:
        model.reshape(openvino.PartialShape(wanted["shape"] or [-1, -1, -1, 3]))
    model = with_true_batch(model)
    model.set_rt_info("tensorflow", MARK)
    openvino.serialize(model, str(out), str(out.with_suffix(".bin")))
    port = model.inputs[0]
    return {
        "name": min(port.get_names(), default="image"),
        "dtype": dtype,
        "shape": shape_of(port),
        "outputs": [min(output.get_names()) for output in model.outputs],
    }


def _frozen(source: Path, wanted: Mapping[str, Any], names: Sequence[str]) -> Any:
    """A frozen graph between the tensors that are named, or as it is."""
    from openvino import PartialShape
    from openvino.frontend import FrontEndManager

    frontend = FrontEndManager().load_by_framework("tf")
    loaded = frontend.load(str(source))
    if wanted["input"] is not None:
        place = _place(loaded, wanted["input"])
        loaded.override_all_inputs([place])
        if wanted["shape"]:
            loaded.set_partial_shape(place, PartialShape(wanted["shape"]))
    if names:
        loaded.override_all_outputs([_place(loaded, name) for name in names])
    return frontend.convert(loaded)


def _place(loaded: Any, name: str) -> Any:
    place = loaded.get_place_by_tensor_name(name if ":" in name else f"{name}:0")
    if place is None:
        raise ValueError(f"it has no tensor {name!r}")
    return place


def _named(openvino: Any, model: Any, names: Sequence[str]) -> Any:
    """The model with its outputs in the order of `names`, each with one name."""
    outputs = list(model.outputs)
    if names:
        by_name = {name: port for port in outputs for name in port.get_names()}
        outputs = [by_name.get(name) or by_name[f"{name}:0"] for name in names]
    results = [port.get_node() for port in outputs]
    sources = [result.input(0).get_source_output() for result in results]
    # A compiled network gives an answer the names of what it fuses with it too: there are none.
    for node in model.get_ordered_ops():
        if node.get_type_name() not in ("Parameter", "Result"):
            for inner in node.outputs():
                if inner not in sources:
                    inner.get_tensor().set_names(set())
    for position, port in enumerate(outputs):
        first = min(port.get_names(), default=f"output_{position}")
        port.get_tensor().set_names({names[position] if names else first})
    return openvino.Model(results, model.get_parameters(), model.get_friendly_name())


def _words(error: Exception) -> str:
    """The message in one line, without the places in the library's own source."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [
        line for line in lines if line and not line.startswith(("Exception from", "Check '", "FrontEnd API"))
    ]
    return f"{' '.join(told) or type(error).__name__}"[:1000]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
