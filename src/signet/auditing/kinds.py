"""Every kind of finding: how severe it is, by which rule, and what is done about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from signet.findings import Exhibit, Finding, Severity


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding.

    Attributes:
        severity: of its findings; of two, the first is the rule, and the rule says when it is the other.
        rule: when an image or class is one of these.
        fix: what to do; DATASET stands for the dataset that is audited.
    """

    severity: tuple[Severity, ...]
    rule: str
    fix: str


def _fix(*more: str) -> str:
    return f"`{' '.join(('signet audit DATASET --fix', *more))}`"


_FIX = _fix()

KINDS: Mapping[str, Kind] = {
    "missing": Kind(
        ("severe",),
        "the dataset names a file that does not exist",
        f"Put the files back, or write a table without them with {_FIX}.",
    ),
    "unreadable": Kind(
        ("severe",),
        "the file cannot be decoded as an image, to its end",
        f"Fetch the files again, or write a table without them with {_FIX}.",
    ),
    "leak": Kind(
        ("severe",),
        "one picture, as identical files or near copies, is in more than one split",
        f"Put each picture on one side, and keep identical files once, with {_FIX}.",
    ),
    "conflict": Kind(
        ("severe",),
        "identical files have different truths",
        f"Decide which is right, or leave them all out with {_fix('--drop-conflicts')}.",
    ),
    "near conflict": Kind(
        ("warning",),
        "near copies of one picture have different classes",
        "Look at them side by side in the report (--report FILE.html) and correct the wrong label.",
    ),
    "copies": Kind(
        ("warning",),
        "identical files in one split, with one truth",
        f"They count several times: keep one of each with {_FIX}.",
    ),
    "near copies": Kind(
        ("note",),
        "near copies in one split, with one truth",
        f"Nothing needs to be done; {_FIX} writes a column `group` that keeps them together in later splits.",
    ),
    "groups apart": Kind(
        ("severe", "warning"),
        "images of one group (a patient, a video) are in more than one split: severe for a column `group`, "
        "names such as patient12_03 and names of videos whose pictures agree; a warning for numbered series",
        f"Put each group on one side with {_FIX}.",
    ),
    "groups": Kind(
        ("note",),
        "file names show groups, and the dataset has no splits yet",
        f"Write a column `group` with {_FIX}, so that no later split parts them.",
    ),
    "misplaced boxes": Kind(
        ("severe",),
        "the boxes of a split would lie better mirrored, turned by 180 degrees, or with x and y exchanged: "
        "so, by contrast of colour, in more than half of its images (sign test, p < 0.001)",
        "Whatever mirrored or turned the images must do the same to their boxes: draw a few, and write the "
        "annotations anew.",
    ),
    "unlearned class": Kind(
        ("severe",),
        "a class has images in the validation or test split and none to learn from",
        "What is never seen cannot be answered: add training images, rename the class, or remove it.",
    ),
    "unmeasured class": Kind(
        ("warning",),
        "a class has images to learn from and none in a split that has other classes",
        "Nothing can be said of how well it is learned: add images of it to that split.",
    ),
    "tiny class": Kind(
        ("warning", "severe"),
        "fewer than 10 images to learn from; severe where a class of images has a single one, which "
        "cannot be learned from and checked with",
        "Add images, join the class with another, or remove it.",
    ),
    "empty class": Kind(
        ("warning",),
        "a class is named and has no image at all",
        "Add images, or remove the name: an index without images shifts nothing, but is never learned.",
    ),
    "imbalance": Kind(
        ("warning", "note"),
        "the largest class has at least 10 times the training images of the smallest; a note from 3 times on",
        "Judge by `f1_macro` and each class's recall, not by accuracy, and add images of small classes.",
    ),
    "unlabelled": Kind(
        ("warning",),
        "images of a dataset of one class an image have none",
        "They are used for nothing: label them, or remove their rows.",
    ),
    "label suspects": Kind(
        ("warning",),
        "by a probe that did not see the image, its label is more probably one of a share of labels dealt at "
        "random than not, and that share is not nothing (likelihood ratio, p < 0.001)",
        "Look at them in the report (--report FILE.html), correct the wrong ones, or leave them out with "
        f"{_fix('--drop-suspects')}.",
    ),
    "label twins": Kind(
        ("warning",),
        "two labels differ only in case, blanks, hyphens, underscores or Unicode form",
        "If they are one class, give them one name.",
    ),
    "label blanks": Kind(
        ("warning",),
        "a label is empty, or begins or ends with a blank, or holds two in a row",
        "Rename it: a table's cells lose such blanks, and then it is another class.",
    ),
    "label order": Kind(
        ("warning", "note"),
        'indices follow the order of text ("10" before "2"); a note where this order and the natural one '
        "differ and names decide",
        "Match models to labels by name, never by index; zero-padded names have one order everywhere.",
    ),
    "class mix": Kind(
        ("warning",),
        "the shares of the classes in two splits differ by at least 10 points in total, and by more than "
        "chance (chi-squared, p < 0.001)",
        "Accuracy on one split does not tell that on the other: split anew by class, or judge by `f1_macro`.",
    ),
    "drift": Kind(
        ("warning",),
        "a probe tells the images of two splits apart, class by class (area under the curve, lower end of "
        "its 95 % interval, at least 0.6), or their mean brightness, contrast or size differs by at least "
        "half a standard deviation",
        "Find out what differs (camera, place, date): what is measured on one may not hold on the other.",
    ),
    "blank": Kind(
        ("warning",),
        "all pixels are nearly of one colour (standard deviation below 1 grey level)",
        "Remove them: nothing can be seen.",
    ),
    "tiny": Kind(
        ("warning",),
        "the shorter side has fewer than 16 pixels",
        "Find larger originals, or remove them.",
    ),
    "extreme aspect": Kind(
        ("note",),
        "the longer side is at least 4 times the shorter, and twice that of half of the images",
        "A crop loses most of such an image: cut it into pieces, or choose a model whose program pads.",
    ),
    "turned": Kind(
        ("note",),
        "EXIF says that the stored picture must be turned; Signet turns it, other readers may not",
        "Store the pictures upright if other programs read them too.",
    ),
    "transparent": Kind(
        ("note",),
        "some pixels are transparent; Signet lays them on white, other readers on black or on what is below",
        "Store the pictures without an alpha channel if other programs read them too.",
    ),
    "grey": Kind(
        ("note",),
        "grey pictures where at least 80 % are coloured, or coloured ones where at least 80 % are grey",
        "See that they are not all of one class: then colour alone would give the answer.",
    ),
    "low resolution": Kind(
        ("note",),
        "at least half of the images are enlarged at least twice to reach the model's input",
        "A model or an input size nearer to the images is faster and no worse.",
    ),
    "annotations": Kind(
        ("warning", "note"),
        "objects or label images that could not be used as they are; a note where they were put right",
        "See docs/datasets.md for each rule, and correct the annotations.",
    ),
    "reading": Kind(("note",), "what else was noticed while the dataset was read", ""),
}
"""The kinds by name, in the order in which they are told within a severity."""


def finding(
    kind: str,
    message: str,
    sources: Iterable[str] = (),
    *,
    severity: Severity | None = None,
    exhibits: Sequence[Exhibit] = (),
    details: Mapping[str, Any] | None = None,
) -> Finding:
    """A finding of a kind of the table, with the severity of its rule and its fix."""
    rule = KINDS[kind]
    return Finding(
        kind=kind,
        severity=severity or rule.severity[0],
        message=message,
        sources=tuple(dict.fromkeys(sources)),
        fix=rule.fix,
        exhibits=tuple(exhibits),
        details=details or {},
    )


def finding_of_groups(
    kind: str,
    message: str,
    together: Sequence[tuple[str, ...]],
    *,
    severity: Severity | None = None,
    exhibits: Sequence[Exhibit] = (),
    details: Mapping[str, Any] | None = None,
) -> Finding:
    """A finding about files that belong together; its sources are all of them."""
    sources = [source for group in together for source in group]
    found = finding(kind, message, sources, severity=severity, exhibits=exhibits, details=details)
    return replace(found, together=tuple(together))
