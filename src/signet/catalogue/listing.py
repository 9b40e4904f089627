"""The lines of the catalogue: starter, mirror, what the zoos carry, and what is known but not public."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from signet import hub
from signet.cards import Card, Claim, Licence
from signet.catalogue import index
from signet.catalogue.annotating import DOMAIN, annotated, licence
from signet.catalogue.facts import DATASETS, claims_of, gmacs_of
from signet.catalogue.families import family_of
from signet.catalogue.systems import System, without_weights
from signet.errors import SignetError
from signet.hub.folders import mirror_folder, read_config
from signet.hub.names import place_of
from signet.storage import read_json

Status = Literal["embedded", "mirrored", "downloadable", "no public weights"]
STATUSES: tuple[Status, ...] = ("embedded", "mirrored", "downloadable", "no public weights")
NO_WEIGHTS: Status = "no public weights"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the catalogue.

    Attributes:
        name: what every command takes as MODEL.
        task: "classify", "embed" ...
        family: "ResNet" ...
        params: trainable values, or None when nobody counted.
        gmacs: multiply-adds for one image in 10^9, or None.
        depth: layers as the paper counts, or None.
        size_bytes: of the weight file, or None.
        input_size: (height, width).
        licence: of the weights.
        status: where the weights are.
        claims: figures with sources.
        domain: of the training data: "natural" ...
        year: of publication.
        paper: "arXiv:1512.03385" ...
        good_for: one sentence.
        nearest: the model to take instead, where no weights are public.
    """

    name: str
    task: str
    family: str
    params: int | None
    gmacs: float | None
    depth: int | None
    size_bytes: int | None
    input_size: tuple[int, int] | None
    licence: Licence
    status: Status
    claims: tuple[Claim, ...] = ()
    domain: str = DOMAIN
    year: int | None = None
    paper: str = ""
    good_for: str = ""
    nearest: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        row = {
            "name": self.name,
            "task": self.task,
            "family": self.family,
            "params": self.params,
            "gmacs": self.gmacs,
            "depth": self.depth,
            "size_bytes": self.size_bytes,
            "input_size": None if self.input_size is None else list(self.input_size),
            "licence": {
                "weights": self.licence.weights,
                "stated": self.licence.stated,
                "verdict": self.licence.verdict,
                "code": self.licence.code,
                "training_data": self.licence.training_data,
                "words": self.licence.words,
            },
            "status": self.status,
            "claims": [
                {
                    "metric": claim.metric,
                    "value": claim.value,
                    "dataset": claim.dataset,
                    "source": claim.source,
                    "evaluation_size": claim.evaluation_size,
                }
                for claim in self.claims
            ],
            "domain": self.domain,
            "top1": self.key("top1"),
            "year": self.year,
            "paper": self.paper,
            "good_for": self.good_for,
        }
        return {**row, "nearest": self.nearest} if self.nearest else row

    def key(self, name: str) -> float | str | None:
        """The value of a sort key; None when it is not known."""
        match name:
            case "name":
                return self.name
            case "input_size":
                return None if self.input_size is None else self.input_size[0] * self.input_size[1]
            case "params" | "gmacs" | "size_bytes":
                value: float | None = getattr(self, name)
                return value
            case _:
                return self._accuracy(name)

    def _accuracy(self, metric: str) -> float | None:
        """On ImageNet-1k at the model's own size, the first of the claims; else the best on a set of its own.

        Figures of the sets that test robustness are no accuracy to sort by.
        """
        values = [claim for claim in self.claims if claim.metric == metric]
        for claim in values:
            if claim.dataset == DATASETS["1k"]:
                return claim.value
        own = (claim.value for claim in values if claim.dataset not in DATASETS.values())
        return max(own, default=None)


def entries() -> list[Entry]:
    """Every model. Those of the index are without their claims; `completed` adds them."""
    mirrored = _mirrored()
    here = {entry.name for entry in mirrored}
    return [
        _starter(),
        *mirrored,
        *(_indexed(name, config) for name, config in index.configs() if name not in here),
        *(_known(row) for row in without_weights() if not index.has(str(row.own))),
    ]


def completed(entry: Entry) -> Entry:
    """The entry with the figures that were published of it."""
    if entry.claims:
        return entry
    return dataclasses.replace(entry, claims=claims_of(entry.name, entry.input_size))


def _starter() -> Entry:
    folder = Path(index.__file__).parent / "starter"
    fields = read_json(folder / "card.json")
    claims = tuple(Claim(**row) for row in fields.get("claims", ()))
    size = (folder / "model.safetensors").stat().st_size
    shape = fields["inputs"][0]["shape"]
    return Entry(
        name=index.STARTER,
        task=fields["task"],
        family=fields["family"],
        params=fields.get("parameters"),
        gmacs=fields.get("gmacs"),
        depth=fields.get("depth"),
        size_bytes=size,
        input_size=(shape[2], shape[3]),
        licence=Licence(**fields["licence"]),
        status="embedded",
        claims=claims,
        year=fields.get("year"),
        good_for=fields.get("good_for", ""),
    )


def _mirrored() -> list[Entry]:
    """What the mirror has. Nothing is hashed here, which would take minutes; loading a model does that."""
    rows = []
    for name in hub.list_mirror():
        try:
            folder = place_of(name, mirror_folder() or Path())
            known = _card(folder, name)
            size = max(file.stat().st_size for file in folder.iterdir() if file.is_file())
        except (OSError, SignetError):
            continue  # one that cannot be used does not hide the others; `signet mirror list` says why
        rows.append(
            Entry(
                name=name,
                task=known.task,
                family=known.family,
                params=known.parameters,
                gmacs=known.gmacs,
                depth=known.depth,
                size_bytes=size,
                input_size=known.input_size,
                licence=known.licence,
                status="mirrored",
                claims=known.claims,
                domain=known.domain or DOMAIN,
                year=known.year,
                paper=known.paper,
                good_for=known.good_for,
            )
        )
    return rows


def _card(folder: Path, name: str) -> Card:
    """The card that `signet mirror pull` laid beside a model, else the one that its configuration states."""
    from signet.catalogue.entries import card

    if (folder / "card.json").is_file():
        return annotated(Card.from_dict(read_json(folder / "card.json")))
    return card(name, read_config(folder / "config.json") or {}, None, "unknown", origin="")


def _indexed(name: str, config: Mapping[str, Any]) -> Entry:
    from signet.catalogue.configs import size_of

    stated = config["pretrained_cfg"]
    architecture, library = config["architecture"], config["library"]
    family = family_of(architecture, library)
    size = size_of(stated)
    gmacs = config.get("gmacs")
    return Entry(
        name=name,
        # A CLIP gives vectors until it is given words.
        task="embed" if library == "open_clip" else "classify",
        family=family.name,
        params=config.get("parameters"),
        gmacs=gmacs_of(architecture, size) if gmacs is None and library == "timm" else gmacs,
        depth=family.depth,
        size_bytes=None,
        input_size=size,
        licence=licence(name, Licence(weights=str(stated.get("license") or "unknown"))),
        status="downloadable",
        year=family.year,
        paper=family.paper or "",
        good_for=family.good_for,
    )


def _known(row: System) -> Entry:
    """A system that nobody published weights of."""
    name = str(row.own)
    family = family_of(name.partition("/")[2])
    claims = (
        Claim(
            figure.metric, figure.value, figure.dataset, ", ".join(filter(None, (figure.source, figure.how)))
        )
        for figure in row.published
    )
    return Entry(
        name=name,
        task=row.task,
        family=family.name or row.system,
        params=next(iter(row.parameters.values()), None),
        gmacs=None,
        depth=family.depth,
        size_bytes=None,
        input_size=None,
        licence=Licence(),
        status=NO_WEIGHTS,
        claims=tuple(claims),
        year=row.year,
        paper=row.paper or "",
        good_for=family.good_for,
        nearest=row.nearest or "",
    )
