"""`golden/expected.safetensors`: what every stage gave for every golden image when the model was sealed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Array
from signet.errors import SealError
from signet.naming import shown
from signet.seals.strict import strict_json

STAGES = ("read", "orient", "resize", "crop", "normalise", "layout", "network", "head", "answer", "decision")
"""The frozen names, which seals, verdicts and benchmarks share."""
_STAGE = re.compile(rf"({'|'.join(STAGES)})(\.[1-9][0-9]{{0,3}})?")
_METADATA = "signet"
_DTYPES = ("uint8", "int8", "float32", "int64")


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """The golden evidence.

    Attributes:
        stages: names in the order in which the program does them; a name that comes twice is `NAME.2` the
            second time. The same for every image.
        tensors: `IMAGE/STAGE` to array, IMAGE counting from 0: uint8 and float32 as the stages leave them,
            without a batch axis. "IMAGE/decision" is int64 (1,), the index of the first label;
            "IMAGE/label" is that label's UTF-8 bytes; "IMAGE/features" is there when the network has
            such an output.
        labels_digest: `digest_of_labels` of the whole list.
        versions: of the libraries that made it.
        reference: engine and precision that ran the network.
    """

    stages: tuple[str, ...]
    tensors: Mapping[str, Array]
    labels_digest: str
    versions: Mapping[str, str]
    reference: str

    def of(self, image: int) -> dict[str, Array]:
        """Stage to array, of one image."""
        start = f"{image}/"
        return {key[len(start) :]: value for key, value in self.tensors.items() if key.startswith(start)}

    def to_bytes(self) -> bytes:
        """The safetensors file; all that is no tensor is JSON under one key of its metadata."""
        from safetensors.numpy import save

        facts = {
            "stages": list(self.stages),
            "labels_sha256": self.labels_digest,
            "versions": dict(self.versions),
            "reference": self.reference,
        }
        tensors = {key: np.ascontiguousarray(value) for key, value in sorted(self.tensors.items())}
        written: bytes = save(tensors, {_METADATA: json.dumps(facts, sort_keys=True)})
        return written

    @classmethod
    def from_file(cls, path: Path) -> Expected:
        """Read it, strictly.

        Raises:
            SealError: it is not what `to_bytes` writes.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as opened:
                facts = strict_json((opened.metadata() or {})[_METADATA].encode())
                tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
            found = cls(
                tuple(str(stage) for stage in _rows(facts["stages"])),
                tensors,
                str(facts["labels_sha256"]),
                {str(key): str(value) for key, value in dict(facts["versions"]).items()},
                str(facts["reference"]),
            )
        except (
            *(SafetensorError, SealError, OSError, KeyError, ValueError, TypeError, RecursionError),
            AttributeError,  # numpy has no such type: safetensors looks for its name there
        ) as error:
            raise SealError(
                f"{path.name}: expected the golden evidence of a seal as docs/seal-format.md states it, "
                f"got something else ({type(error).__name__}: {error}). Seal the model again."
            ) from error
        wrong = [key for key, value in tensors.items() if str(value.dtype) not in _DTYPES]
        if wrong:
            raise SealError(f"{path.name}: expected tensors of {', '.join(_DTYPES)}; {wrong[0]!r} is none.")
        infinite = [key for key, value in tensors.items() if not np.isfinite(value).all()]
        if infinite:
            raise SealError(f"{path.name}: expected finite numbers; {infinite[0]!r} has others.")
        unknown = [stage for stage in found.stages if not _STAGE.fullmatch(stage)]
        if unknown:
            raise SealError(
                f"{path.name}: expected stages of {', '.join(STAGES)}; got {shown(unknown[0][:40])!r}."
            )
        return found

    def images(self) -> int:
        """How many images it speaks of: one more than the greatest number of one."""
        numbers = [int(head) for head in (key.partition("/")[0] for key in self.tensors) if head.isdecimal()]
        return max(numbers, default=-1) + 1


def digest_of_labels(labels: Sequence[str] | None) -> str:
    """sha256 hex over the labels in order, each as UTF-8 followed by a line feed; of nothing when None."""
    return hashlib.sha256("".join(f"{label}\n" for label in labels or ()).encode()).hexdigest()


def _rows(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got a {type(value).__name__}")
    return value
