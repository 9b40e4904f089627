"""`verify` of another program: does what runs somewhere else answer as this model did when it was sealed?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from signet.asking import Program
from signet.errors import BadInput, Refused, SealError
from signet.naming import shown
from signet.progress import OnProgress, Progress, silent
from signet.records import Verdict
from signet.replaying import Allowance, Findings, compare_images
from signet.replaying_lines import compare_said, missing
from signet.seals import Seal
from signet.verification import checked, refused, verdict_on


def verify_elsewhere(
    seal: Seal | str | Path,
    program: Program,
    *,
    precision: str = "fp32",
    digest: str | None = None,
    trust: Sequence[str | Path] | None = None,
    on_progress: OnProgress | None = None,
) -> Verdict:
    """Show another program the golden images of a seal, and compare what it says with what was sealed.

    Args:
        seal: a sealed folder or zip; its files are checked first, but no engine is started.
        program: of `signet.asking`: `by_command`, `by_url`, or one with a function of one's own.
        precision: that it runs in; "bf16" and "int8" are judged by decisions, and loosely by values.
        digest: as for `verify`.
        trust: as for `verify`.
        on_progress: told of each golden image.

    Returns:
        The verdict. Its stages are those of which the program told something, and "answer" and "decision".

    Raises:
        BadInput: there is no seal at that path.
        BadRequest: the program cannot be run.
        SignetError: the server cannot be reached.
    """
    place = seal.path if isinstance(seal, Seal) else Path(seal)
    try:
        opened, expected, before = checked(place, digest, trust)
    except (SealError, Refused) as error:
        return refused(place, error, program.name, precision)
    tell = on_progress or silent
    findings = Findings(before)
    allowed = Allowance.of(expected, opened.card.program, precision, "cpu")
    agree = 0
    for number, image in enumerate(opened.golden):
        tell(Progress(f"asking {program.name}", number, len(opened.golden)))
        try:
            said = program.ask(image)
        except BadInput as problem:
            missing(findings, f"{image.name}: {shown(str(problem))}")
            continue
        agree += compare_said(findings, expected, number, said, opened.card, allowed)
    compare_images(findings, expected, len(opened.golden))
    return verdict_on(opened, findings, shown(place), agree, (program.name, precision))
