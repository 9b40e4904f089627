"""A Python program for an exported file: numpy, Pillow and the runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator

from signet.cards import Card
from signet.exporting.snippets import words
from signet.steps import Crop, Layout, Normalise, Order, Pad, Range, Read, Resize, Rounding, Step, Type

_ROUND: dict[Rounding, str] = {"floor": "math.floor", "round": "round", "ceil": "math.ceil"}
_IMPORTS = {
    "onnx": "import onnxruntime",
    "openvino": "import openvino",
    "torchscript": "import torch",
    "torch-export": "import torch",
    "executorch": "import torch\nfrom executorch.runtime import Runtime",
    "litert": "from ai_edge_litert.interpreter import Interpreter",
    "coreml": "import coremltools",
}
_PACKAGES = {
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "executorch": "executorch",
    "litert": "ai-edge-litert",
    "coreml": "coremltools (on an Apple system)",
}

_READ = '''
def read(path: str) -> Image.Image:
    """An image file as upright RGB, transparent parts over white."""
    with Image.open(path) as stored:
        picture = {upright}
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        ground = Image.new("RGB", picture.size, (255, 255, 255))
        ground.paste(picture, mask=picture.getchannel("A"))
        picture = ground
    return picture.convert("RGB"){grey}

'''

_CUT = '''
def corner(side: int, box: int) -> int:
    """Where a box begins that lies in the middle of a side; below 0 where the box is longer."""
    return -((box - side) // 2) if box > side else {rounded}((side - box) / 2)


def cut(picture: Image.Image, corner: tuple[int, int], box: tuple[int, int], fill: object) -> Image.Image:
    """A box (width, height) of a picture; what lies outside the picture is `fill`."""
    canvas = Image.new("RGB", box, fill)
    canvas.paste(picture, (-corner[0], -corner[1]))
    return canvas

'''

_OPENED = {
    "onnx": """
# Pad_Fusion changes answers: it makes a padding with zeros part of a max pooling, which pads otherwise.
SESSION = onnxruntime.InferenceSession(
    str(FILE), providers=["CPUExecutionProvider"], disabled_optimizers=["Pad_Fusion"]
)


def run(array: np.ndarray) -> np.ndarray:
    return SESSION.run([{output}], {{SESSION.get_inputs()[0].name: array}})[0]

""",
    "torchscript": """
warnings.filterwarnings("ignore", category=FutureWarning)  # torch would rather see torch.export
MODEL = torch.jit.load(str(FILE), map_location="cpu").eval()


def run(array: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        answered = MODEL(torch.tensor(array))
    return answered.numpy()

""",
    "torch-export": """
MODEL = torch.export.load(str(FILE)).module()


def run(array: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        answered = MODEL(torch.tensor(array))
    return answered.numpy()

""",
    "executorch": """
PROGRAM = Runtime.get().load_program(str(FILE))
METHOD = PROGRAM.load_method("forward")


def run(array: np.ndarray) -> np.ndarray:
    return METHOD.execute([torch.tensor(array)])[{output}].numpy()

""",
    "litert": """
INTERPRETER = Interpreter(model_path=str(FILE))
INTERPRETER.allocate_tensors()


def run(array: np.ndarray) -> np.ndarray:
    INTERPRETER.set_tensor(INTERPRETER.get_input_details()[0]["index"], array)
    INTERPRETER.invoke()
    return INTERPRETER.get_tensor(INTERPRETER.get_output_details()[{output}]["index"])

""",
    "coreml": """
MODEL = coremltools.models.MLModel(str(FILE))


def run(array: np.ndarray) -> np.ndarray:
    spec = MODEL.get_spec().description
    return MODEL.predict({{spec.input[0].name: array}})[spec.output[{output}].name]

""",
    "openvino": """
# On some processors the default is bfloat16.
MODEL = openvino.Core().compile_model(str(FILE), "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})


def run(array: np.ndarray) -> np.ndarray:
    raw = MODEL(array)[{output}]
    if raw.dtype in (np.uint8, np.int8):
        raw = (raw.astype(np.float32) + (128 if raw.dtype == np.int8 else 0)) / 256
    return raw

""",
}


def written(card: Card, to: str, file: str) -> str:
    """The program.

    Raises:
        CannotSay: there is none for this model.
    """
    words.check(card)
    name = file.rpartition(".")[0]
    embeds = card.output.head == "embedding"
    what = "What the model makes of images, a vector each" if embeds else "What is on images"
    doc = (
        f'"""{what}, by {words.safe(file)}: python {words.safe(name)}.py IMAGE...\n\n'
        f"Needs numpy, Pillow and {_PACKAGES.get(to, 'torch')}. Made by Signet for {words.safe(card.name)}; "
        f'weights: {words.safe(card.licence.weights)}.\n"""\n'
    )
    body = _preprocessing(card) + _opened(card, to) + _answer(card)
    plain = ("json", "math", "sys", "warnings")
    imports = [f"import {module}" for module in plain if module in ("json", "sys") or f"{module}." in body]
    header = (
        "\n" + "\n".join(imports) + "\nfrom pathlib import Path\n\nimport numpy as np\n"
        f"{_IMPORTS[to]}\nfrom PIL import Image, ImageOps\n\n"
        f"FILE = Path(__file__).resolve().with_name({json.dumps(file)})\n"
        'CARD = json.loads(FILE.with_name(FILE.name + ".card.json").read_text("utf-8"))\n'
    )
    return doc + header + body


def _preprocessing(card: Card) -> str:
    steps = card.program.steps
    first = steps[0]
    orient, grey = (first.orient, first.channels == "L") if isinstance(first, Read) else (True, False)
    text = _READ.format(
        upright="ImageOps.exif_transpose(stored)" if orient else "stored.copy()",
        grey='.convert("L").convert("RGB")' if grey else "",
    )
    boxes = [step for step in steps if isinstance(step, Crop | Pad)]
    if boxes:
        crop = next((step for step in boxes if isinstance(step, Crop)), None)
        text += _CUT.format(rounded=_ROUND[crop.rounding if crop else "round"])
    lines = ["", "def prepared(path: str) -> np.ndarray:", '    """The input of the network."""']
    lines += ["    picture = read(path)"]
    is_array, first_axis = False, False
    for step in steps[1:]:
        numeric = not isinstance(step, Crop | Pad | Resize)
        if numeric and not is_array:
            lines.append("    array = np.asarray(picture)")
            is_array = True
        lines.append(f"    # {words.safe(step.words())}")
        lines += [f"    {line}" for line in _step(step, first_axis)]
        if isinstance(step, Layout):
            first_axis = step.order == "NCHW"
    result = "array" if is_array else "np.asarray(picture)"
    lines += [f"    return np.ascontiguousarray({result})[None]", "", ""]
    return text + "\n".join(lines)


def _step(step: Step, first: bool) -> Iterator[str]:
    match step:
        case Resize():
            yield from _resize(step)
        case Crop(size=size, fraction=fraction, anchor=anchor, fill=fill):
            if fraction is not None:
                yield f"side = max(1, round(min(picture.size) * {fraction!r}))"
                box = "(side, side)"
            else:
                box = f"({size[1]}, {size[0]})" if size else "picture.size"
            yield f"box = {box}"
            yield _corners(anchor)
            yield f"picture = cut(picture, start, box, {_colour(fill)})"
        case Pad(to=to, value=value, anchor=anchor) if to is not None:
            yield f"box = (max(picture.width, {to[1]}), max(picture.height, {to[0]}))"
            yield _corners(anchor)
            yield f"picture = cut(picture, start, box, {_colour(value)})"
        case Range(scale=scale, offset=offset):
            yield f"array = (array.astype(np.float64) * {scale!r} + {offset!r}).astype(np.float32)"
        case Normalise(mean=mean, std=std):
            shape = "(3, 1, 1)" if first else "(3,)"
            yield f"mean = np.array({list(mean)!r}, np.float32).reshape({shape})"
            yield f"std = np.array({list(std)!r}, np.float32).reshape({shape})"
            yield "array = (array.astype(np.float32) - mean) / std"
        case Order(order="BGR"):
            yield "array = array[::-1]" if first else "array = array[..., ::-1]"
        case Layout(order=order) if (order == "NCHW") != first:
            yield f"array = array.transpose({(1, 2, 0) if first else (2, 0, 1)})"
        case Type(dtype="uint8"):
            yield "array = np.clip(np.rint(array), 0, 255).astype(np.uint8)"
        case Type(dtype="float32"):
            yield "array = array.astype(np.float32)"
        case _:
            return


def _resize(step: Resize) -> Iterator[str]:
    rounded = _ROUND[step.rounding]
    if step.fit == "stretch" and step.size:
        yield f"size = ({step.size[1]}, {step.size[0]})"
    elif step.fit == "pad" and step.size:
        yield f"ratio = max(picture.width / {step.size[1]}, picture.height / {step.size[0]})"
        yield f"size = tuple(max(1, {rounded}(side / ratio)) for side in picture.size)"
    else:
        yield f"long = max(1, {rounded}({step.short} * max(picture.size) / min(picture.size)))"
        yield f"size = (long, {step.short}) if picture.height <= picture.width else ({step.short}, long)"
    resized = f"picture = picture.resize(size, Image.Resampling.{step.filter.upper()})"
    if step.upscale:
        yield resized
    else:
        yield "if size[0] <= picture.width and size[1] <= picture.height:"
        yield f"    {resized}"


def _corners(anchor: str) -> str:
    if anchor == "top-left":
        return "start = (0, 0)"
    return "start = (corner(picture.width, box[0]), corner(picture.height, box[1]))"


def _colour(fill: int | tuple[int, int, int]) -> str:
    return repr((fill, fill, fill) if isinstance(fill, int) else tuple(fill))


def _opened(card: Card, to: str) -> str:
    place = card.output.tensor
    if to == "onnx":
        output = json.dumps(place) if isinstance(place, str) else f"SESSION.get_outputs()[{place}].name"
    else:
        output = json.dumps(place)
    return _OPENED[to].format(output=output)


def _answer(card: Card) -> str:
    contract = card.output
    if contract.head == "embedding":
        return "\n".join(
            [
                "for image in sys.argv[1:]:",
                "    vector = run(prepared(image)).reshape(-1)",
                '    print(f"{image}:", *(f"{value:.6g}" for value in vector))',
                "",
            ]
        )
    lines = ["", "def scores(path: str) -> np.ndarray:", '    """One score for each label."""']
    lines.append("    raw = run(prepared(path)).astype(np.float32).reshape(-1)")
    if not contract.already_activated and contract.head == "softmax":
        lines.append(f"    powers = np.exp((raw - raw.max()) / {contract.temperature!r})")
        lines.append("    raw = powers / powers.sum()")
    elif not contract.already_activated:
        lines.append(f"    raw = 0.5 + 0.5 * np.tanh(raw / {contract.temperature!r} / 2)")
    lines.append(
        "    return raw[1:]  # the first one is the background" if contract.drop_first else "    return raw"
    )
    lines += ["", "", "for image in sys.argv[1:]:", "    answer = scores(image)"]
    lines.append("    best = int(answer.argmax())")
    lines.append('    label = CARD["labels"][best] if CARD["labels"] else str(best)')
    lines.append('    print(f"{image}: {label} {answer[best]:.4f}")')
    return "\n".join(lines) + "\n"
