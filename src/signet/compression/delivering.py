"""The compressed network as a seal of its own: evidence, lineage, and a verification on every engine."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signet import storage
from signet.compression.outcome import Made
from signet.compression.settings import CompressSettings
from signet.errors import CheckFailed
from signet.evidence import expected_from, variant_of, without_missing_features
from signet.records import Verdict
from signet.running import engines_for
from signet.seals import GoldenImage, Seal, SealContents, check_out, write_seal
from signet.verification import verify
from signet.zoos import from_seal


def delivered(
    parent: Seal, made: Made, record: Mapping[str, Any], out: Path, settings: CompressSettings
) -> tuple[Seal, dict[str, Verdict]]:
    """Seal a compressed network, verify it on every engine that runs it here, and only then put it in place.

    The golden images are those of the parent; what they must give is computed anew. What can be
    trained further is sealed only where the network has a seal of its own: the weights of the parent are
    those of another one.

    Args:
        parent: the seal that it was made of.
        made: the compressed network.
        record: what was done, for the card's lineage; plain JSON.
        out: the seal to write.
        settings: threads, cache, overwrite.

    Returns:
        The seal, and each engine's verdict.

    Raises:
        CheckFailed: an engine does not answer as the evidence says.
        BadInput: the graph gives no evidence: no numbers, or other ones each time.
    """
    target = check_out(out)
    graph, source = made.graph, made.source or parent
    card = made.card or parent.card
    lineage = {**card.lineage, "compressed": dict(record)}
    own = dataclasses.replace(
        card, name=f"{parent.card.name}-{record['to']}", lineage=lineage, claims=(), weights_digest=None
    )
    temperature, calibration = own.output.temperature, source.manifest.calibration
    if temperature != source.card.output.temperature:
        calibration = {"method": "temperature scaling", "temperature": temperature}
    own = without_missing_features(own, graph, settings.running)
    golden = [GoldenImage(entry, (parent.path / entry.file).read_bytes()) for entry in parent.manifest.golden]
    contents = SealContents(
        card=own,
        graph=graph,
        golden=golden,
        expected=expected_from(own, graph, golden, settings.running),
        weights=None if made.source is None else made.source.weights,
        module=None if made.source is None else made.source.manifest.module,
        feature_statistics=None if made.source is None else made.source.manifest.feature_statistics,
        training=source.manifest.training,
        calibration=calibration,
        variants=variant_of(own, graph, golden, (), settings.running),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".signet-", dir=target.parent) as folder:
        sealed = write_seal(contents, Path(folder) / target.name)
        verdicts = {
            engine: verify(sealed, engine=engine, settings=settings.running)
            for engine in engines_for(from_seal.of(sealed))
        }
        wrong = [f"{name}: {one.message}" for name, one in verdicts.items() if not one.ok]
        if wrong:
            raise CheckFailed(
                "The compressed network does not answer alike on every engine, so it was not delivered. "
                f"{' '.join(wrong)} --no-mixed or another --to may do; report it."
            )
        storage.move_folder_into_place(sealed.path, target, overwrite=settings.overwrite)
    return dataclasses.replace(sealed, path=target), verdicts
