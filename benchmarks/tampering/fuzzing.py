"""A coverage-guided fuzzer on what reads manifests and cards: each answers, or refuses in words.

    pip install atheris
    PYTHONPATH=benchmarks python -m tampering.fuzzing --seal SEAL... [--card FILE...] --work FOLDER
        [--seconds 600]

What is held, of any bytes: `signet.seals.manifest.parse` gives a manifest or raises an error of Signet's; a
manifest writes itself, and what it wrote reads as the same; its model card can be written. A file that
`signet.zoos.card_files.read_card` reads gives a card that survives the same, or an error of Signet's. No
input takes longer than LIMIT_SECONDS. The fuzzer begins with the manifests of SEAL and the cards in them, and
half of its changes are to the JSON (a value by another, a key away, doubled, renamed), the rest to bytes.

An input that breaks one of these is written to FOLDER as `crash-...`, and the exit code is not 0.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["signet"]):
    from signet.cards import Card
    from signet.errors import SignetError
    from signet.seals import open_seal
    from signet.seals.manifest import Manifest, parse
    from signet.seals.modelcard import model_card
    from signet.zoos.card_files import read_card

LIMIT_SECONDS = 10
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**63, 2**64, -(2**70), 0.5, 1e308, -0.0, "", "a", "\u0000", "\ud800"),
    *("../x", "/x", "x" * 5000, [], [[]], {}, {"": ""}, [None], ["a", 1], {"file": "x"}, {"file": 3}),
)
"""Values of every kind, and the ones at the ends of their ranges."""


class Broken(Exception):
    """A reader did what it must not."""


def manifest(data: bytes) -> None:
    """A manifest, or an error of Signet's."""
    try:
        found = parse(data, "x.signet")
    except SignetError:
        return
    again = found.to_bytes()
    if not _same(parse(again, "x.signet"), found):
        raise Broken("a manifest reads otherwise than it was written")
    model_card(found)


def card(data: bytes, place: Path) -> None:
    """A card file, or an error of Signet's."""
    place.write_bytes(data)
    try:
        found = read_card(place)
    except SignetError:
        return
    if Card.from_dict(json.loads(json.dumps(found.to_dict()))) != found:
        raise Broken("a card reads otherwise than it was written")


def _same(one: Manifest, two: Manifest) -> bool:
    return one.to_bytes() == two.to_bytes()


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key or position) of every value within."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(items):
        yield document, key
        if isinstance(value, (dict, list)):
            yield from places(value)


def changed(data: bytes, most: int, seed: int) -> bytes:
    """Another input: by structure where it is a JSON object, else, and half of the time, by bytes."""
    draw = random.Random(seed)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not document or draw.random() < 0.5:
        return bytes(atheris.Mutate(data, most))
    for _ in range(draw.choice((1, 1, 2, 4))):
        found = list(places(document))
        if not found:
            break
        holder, key = draw.choice(found)
        match draw.randrange(5):
            case 0:
                holder[key] = draw.choice(ODD)
            case 1:
                other, name = draw.choice(found)
                if (name in other) if isinstance(other, dict) else name < len(other):
                    holder[key] = json.loads(json.dumps(other[name]))
            case 2:
                del holder[key]
            case 3 if isinstance(holder, dict):
                holder[draw.choice((f"{key}s", "extra", "format", ""))] = holder.pop(key)
            case _:
                holder[key] = [holder[key], holder[key]]
    return json.dumps(document).encode()[:most]


def seeds(seals: list[Path], cards: list[Path]) -> Iterator[bytes]:
    """What the fuzzer begins with."""
    for path in seals:
        stated = (open_seal(path).path / "seal.json").read_bytes()
        yield stated
        yield json.dumps(json.loads(stated)["card"]).encode()
    for path in cards:
        yield path.read_bytes()


def main() -> None:
    """Fuzz; atheris ends the process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seal", type=Path, nargs="+", required=True)
    parser.add_argument("--card", type=Path, nargs="*", default=[])
    parser.add_argument("--work", type=Path, required=True, help="the corpus, and what broke a reader")
    parser.add_argument("--seconds", type=int, default=600)
    asked = parser.parse_args()
    corpus = asked.work / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    longest = 0
    for number, data in enumerate(seeds(asked.seal, asked.card)):
        (corpus / f"seed-{number}").write_bytes(data)
        longest = max(longest, len(data))
    place = Path(tempfile.mkdtemp()) / "models" / "x" / "x.onnx.card.json"
    place.parent.mkdir(parents=True)

    def one(data: bytes) -> None:
        manifest(data)
        card(data, place)

    options = [f"-max_total_time={asked.seconds}", f"-timeout={LIMIT_SECONDS}", f"-max_len={2 * longest}"]
    options += [f"-artifact_prefix={asked.work}/", "-print_final_stats=1", "-rss_limit_mb=4096"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one, custom_mutator=changed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
