"""The public surface as text: what others may rely on, in a form that a review can read."""

from __future__ import annotations

import contextlib
import enum
import importlib.util
import inspect
import io
import json
import os
import re
import sys
import tempfile
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
GOLDEN = {"public.txt": HERE / "public.txt", "commands.txt": HERE / "commands.txt"}
HOW = "To change this on purpose: python tests/surface/write.py, and say why in CHANGELOG.md.\n"
LONG = 160
"""Characters from which on a signature is written one parameter a line."""
OPEN_KEYS = ("lineage", "provenance", "licence", "details")
"""Objects of which only the name is promised: what they hold depends on the model, or on what was found."""


def public() -> str:
    """Every name of `signet.__all__`, with signatures; for a class also its public methods and fields."""
    import signet

    lines = [HOW]
    for name in sorted(signet.__all__):
        value = getattr(signet, name)
        if inspect.ismodule(value):
            lines.append(f"module {name}: {', '.join(_module_names(value))}")
        elif inspect.isclass(value):
            lines.extend(_class_lines(name, value))
        elif callable(value):
            lines.append(f"{name}{_signature(value)}")
        else:
            lines.append(f"{name}: {type(value).__name__}")
    return "\n".join(lines) + "\n"


def commands() -> str:
    """Every command with arguments, options, defaults, whether it has help, and the keys of its JSON."""
    from signet.cli import commands, main

    shapes = json_shapes()
    codes = "0 done, 1 failed or a check says no, 2 asked wrongly, 3 refused by a gate, 130 interrupted"
    numbers = (main.DONE, main.FAILED, main.ASKED_WRONGLY, main.REFUSED, main.INTERRUPTED)
    assert numbers == tuple(int(number) for number in re.findall(r"\d+", codes))
    lines = [HOW, f"exit codes: {codes}", "", "signet", *parameters(commands.signet)]
    for name, callback in sorted(_callbacks(commands.application()).items()):
        lines += ["", f"signet {name}{'' if callback.__doc__ else '  (no help)'}"]
        lines += parameters(callback)
        lines += [f"  json {key}" for key in shapes.get(name, ())]
    return "\n".join(lines) + "\n"


def _callbacks(app: Any, before: str = "") -> dict[str, Callable[..., object]]:
    """What each command calls, by its words; those of groups too."""
    found = {f"{before}{command.name}": command.callback for command in app.registered_commands}
    for group in app.registered_groups:
        found |= _callbacks(group.typer_instance, f"{before}{group.name} ")
    return found


def parameters(callback: Callable[..., object]) -> list[str]:
    """Arguments and options of one command: words, type, default."""
    from typer import Context
    from typer.models import OptionInfo

    hints = typing.get_type_hints(callback, include_extras=True)
    lines = []
    for name, parameter in inspect.signature(callback).parameters.items():
        if hints[name] is Context:
            continue  # what the command was called with: no option
        kind, info = typing.get_args(hints[name])[:2]
        is_option = isinstance(info, OptionInfo)
        # Inside Annotated the first word of an option stands where its default stands elsewhere.
        stated = [info.default, *(info.param_decls or ())] if is_option else [info.metavar or name.upper()]
        words = " ".join(word for word in stated if isinstance(word, str))
        least = "" if info.min is None else f" from {info.min}"
        default = parameter.default
        without = "required" if default is inspect.Parameter.empty else f"default {_plain(default)}"
        lines.append(f"  {words}: {_kind(kind)}{least}, {without}{'' if info.help else ', no help'}")
    return lines


def _kind(kind: Any) -> str:
    parts = [part for part in typing.get_args(kind) or (kind,) if part is not type(None)]
    if typing.get_origin(kind) is list:
        return f"{_kind(parts[0])}..."
    if len(parts) == 1 and parts[0] is not kind:
        return _kind(parts[0])
    if inspect.isclass(kind) and issubclass(kind, enum.Enum):
        return "|".join(str(member.value) for member in kind)
    return str(getattr(kind, "__name__", kind))


def json_shapes() -> dict[str, list[str]]:
    """The keys of what each command writes as JSON, found by running it on a tiny model."""
    with tempfile.TemporaryDirectory() as name, _surroundings(Path(name)):
        folder = Path(name)
        tiny = _tiny()
        model = str(tiny.make_classifier(folder))
        pictures = [str(path) for path in tiny.make_pictures(folder / "pictures", 8)]
        dataset = _dataset(tiny, folder)
        seal, out, mirror = str(folder / "x.signet"), str(folder / "v.npy"), _mirror(folder / "mirror")
        words = {
            "find": ["starter"],
            "show": [model, "--layers"],
            "predict": [model, *pictures, "nothing.jpg"],
            "embed": [model, *pictures, "nothing.jpg", "--out", out],
            "evaluate": [model, dataset],
            "compare": [model, str(tiny.make_classifier(folder, "other", tiny.LABELS[::-1])), dataset],
            "audit": [dataset],
            "seal": [model, *pictures, "--out", seal],
            "verify": [seal],
            "pack": [seal],
            "benchmark": [model, pictures[0], "--repeats", "1"],
            "mirror pull": ["timm/test_vit.r160_in1k", "--to", mirror],
            "mirror verify": [mirror],
            "mirror list": [mirror],
            "finetune": ["starter", dataset, "--out", str(folder / "t.signet"), "--strategy", "probe"],
        }
        return {command: shape(_json([*command.split(), *more])) for command, more in words.items()}


def shape(value: Any, place: str = "") -> list[str]:
    """The keys of a JSON value as sorted paths; a list is named by what its members hold together."""
    if isinstance(value, dict) and place.rpartition(".")[2] not in OPEN_KEYS:
        found = {line for key in value for line in shape(value[key], f"{place}.{key}".lstrip("."))}
        return sorted(found)
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        return sorted({line for part in value for line in shape(part, f"{place}[]")})
    return [place]


def _json(words: list[str]) -> Any:
    from signet.cli.main import main

    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        code = main([*words, "--json", "--quiet"])
    assert code == 0, f"signet {' '.join(words)}: exit code {code}: {stream.getvalue()}"
    return json.loads(stream.getvalue())


def _plain(value: Any) -> str:
    value = getattr(value, "value", value)
    return "none" if value is None else str(value) or '""'


def _module_names(module: ModuleType) -> list[str]:
    stated = getattr(module, "__all__", None)
    if stated is not None:
        return sorted(stated)
    mine = module.__name__
    own = {name for name, value in vars(module).items() if getattr(value, "__module__", "") == mine}
    return sorted(name for name in own if not name.startswith("_"))


def _class_lines(name: str, kind: type) -> Iterator[str]:
    yield f"class {name}{_signature(kind)}"
    for part in sorted(vars(kind)):
        value = vars(kind)[part]
        if part.startswith("_") and part != "__call__":
            continue
        if isinstance(value, property):
            yield f"  .{part}{_result(value.fget)}"
        elif isinstance(value, classmethod | staticmethod):
            yield f"  .{part}{_signature(value.__func__)}"
        elif inspect.isfunction(value):
            yield f"  .{part}{_signature(value)}"


def _result(getter: Any) -> str:
    return f" -> {inspect.signature(getter).return_annotation}"


def _signature(value: Any) -> str:
    """The signature; a parameter a line where all of them would be a line that no review can read."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return "(...)"
    text = str(found)
    if len(text) > LONG:
        inner = text[1 : text.rindex(") ->") if ") ->" in text else text.rindex(")")]
        parts = _parameters(found)
        assert ", ".join(parts) == inner
        text = "".join(["(\n", *(f"    {part},\n" for part in parts), text[1 + len(inner) :]])
    text = re.sub(r"<(?:function|class) '?([\w.]+)'?(?: at 0x[0-9a-f]+)?>", r"\1", text)
    # Annotations are strings, and strings in them have quotes of their own; an empty one keeps its two.
    return re.sub(r'"(?=\w)|(?<=[\w\]])"', "", text.replace("''", '""').replace("'", ""))


def _parameters(found: inspect.Signature) -> list[str]:
    """Each parameter as the signature writes it, with the marks between kinds of parameters."""
    parts = []
    kinds = [parameter.kind for parameter in found.parameters.values()]
    for place, parameter in enumerate(found.parameters.values()):
        keyword = parameter.kind is inspect.Parameter.KEYWORD_ONLY
        if keyword and not {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_POSITIONAL} & {
            *kinds[:place]
        }:
            parts.append("*")
        parts.append(str(parameter))
    return parts


def _dataset(tiny: ModuleType, folder: Path) -> str:
    for path in tiny.make_pictures(folder / "more", 48):
        place = folder / "dataset" / tiny.answer(int(path.stem[1:])) / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    return str(folder / "dataset")


def _mirror(folder: Path) -> str:
    """A mirror whose one model was pulled from a folder made by hand; the weights are none."""
    from signet import mirroring

    made = folder.with_name("made") / "test_vit.r160_in1k"
    made.mkdir(parents=True)
    (made / "config.json").write_text('{"architecture": "test_vit"}')
    (made / "model.safetensors").write_bytes(b"0")
    os.environ["SIGNET_MIRROR"] = str(made.parent)
    mirroring.pull(["timm/test_vit.r160_in1k"], folder, offline=True)
    del os.environ["SIGNET_MIRROR"]
    return str(folder)


@contextlib.contextmanager
def _surroundings(folder: Path) -> Iterator[None]:
    """A cache of its own, no network, no mirror."""
    before = dict(os.environ)
    os.environ |= {"SIGNET_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    os.environ.pop("SIGNET_MIRROR", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _tiny() -> ModuleType:
    place = HERE.parent / "cli" / "tiny.py"
    spec = importlib.util.spec_from_file_location("signet_tiny", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("signet_tiny", module)
    spec.loader.exec_module(module)
    return module
