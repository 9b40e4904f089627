"""What a recipe asks of BatchNorm, of averages of the weights, and of the watch over learning by heart."""

from __future__ import annotations

from typing import Any

from signet.cards import Task
from signet.errors import BadRequest
from signet.recipes import Recipe

EMA, SWA_START, SWA_RATE, SOUP_EPOCHS = 0.998, 0.75, 0.5, 5
"""Where a recipe names an average, and not its numbers. A decay of 0.998 is a memory of about 500 steps; the
last quarter of the epochs is that of Izmailov et al. (2018), section 4.1."""

_BATCHNORM = {
    "frozen": "every BatchNorm keeps its pretrained statistics: those of small batches are worse",
    "batch": "every BatchNorm that is not frozen gathers its own statistics, since the recipe says so",
    "re-estimated": "every BatchNorm that is not frozen learns on batches, and its statistics are computed "
    "anew over the training images before each validation, since the recipe says so",
    "adapt": "every BatchNorm that is not frozen gets the statistics of the training images before the first "
    "step of its stage, and keeps those, since the recipe says so",
}
_NUMBERS = {"ema": "ema", "swa_start": "swa", "swa_rate": "swa", "soup_epochs": "soup"}


def steadied(recipe: Recipe, task: Task, *, scratch: bool = False, usual_ema: float = 0.0) -> dict[str, Any]:
    """Fields of `TrainSettings`: statistics, averages, the watch.

    Args:
        recipe: what is asked for.
        task: of the dataset: objects have no loss of validation to watch.
        scratch: nothing is pretrained, so there are no statistics to keep.
        usual_ema: decay of the mean of the weights where the recipe leaves it open; 0 for none.
    """
    batchnorm = "batch" if scratch and recipe.batchnorm == "frozen" else recipe.batchnorm
    watch = recipe.overfitting or ("off" if task in ("detect", "instances") else "stop")
    return {
        "batchnorm": batchnorm,
        "batchnorm_stages": tuple(recipe.batchnorm_stages.items()),
        "overfitting": watch,
        **averaged(recipe, usual_ema),
    }


def averaged(recipe: Recipe, usual_ema: float = 0.0) -> dict[str, Any]:
    """Of these, which average of the weights is judged and kept."""
    kind = recipe.averaging
    if kind is None:
        decay = usual_ema if recipe.ema is None else recipe.ema
        return {"ema": decay}
    if kind == "ema":
        return {"ema": recipe.ema or usual_ema or EMA}
    if kind == "swa":
        start = SWA_START if recipe.swa_start is None else recipe.swa_start
        rate = SWA_RATE if recipe.swa_rate is None else recipe.swa_rate
        return {"ema": 0.0, "swa_start": start, "swa_rate": rate}
    if kind == "soup":
        return {"ema": 0.0, "soup": recipe.soup_epochs or SOUP_EPOCHS}
    return {"ema": 0.0}


def reasons(recipe: Recipe, task: Task, *, scratch: bool = False) -> tuple[str, ...]:
    """For the plan, one sentence each; what is as usual is said of BatchNorm only."""
    said = [] if scratch and recipe.batchnorm == "frozen" else [_BATCHNORM[recipe.batchnorm]]
    said += [f"BatchNorm of {name}: {policy}" for name, policy in recipe.batchnorm_stages.items()]
    chosen = averaged(recipe)
    if chosen.get("swa_start"):
        said.append(
            f"the mean of the weights after {100 * chosen['swa_start']:.0f} % of the epochs is judged and "
            f"kept, at a constant {100 * chosen['swa_rate']:.0f} % of the rate (stochastic weight averaging)"
        )
    elif chosen.get("soup"):
        said.append(
            f"up to {chosen['soup']} epochs are mixed at the end, where validation gets better by it (a soup)"
        )
    elif chosen["ema"] and task in ("classify", "segment"):
        said.append(f"the running mean of the weights is judged and kept, with a decay of {chosen['ema']:g}")
    if recipe.overfitting == "step-back":
        said.append("where it learns its images by heart, it goes back to its best epoch at a lower rate")
    if recipe.overfitting == "off":
        said.append("nobody watches whether it learns its images by heart, since the recipe says so")
    return tuple(said)


def refuse_unsteady(recipe: Recipe, task: Task) -> None:
    """Refuse what contradicts itself, and what the task has no use for.

    Raises:
        BadRequest: with what to do.
    """
    kind = recipe.averaging
    for name, wanted in _NUMBERS.items():
        value = getattr(recipe, name)
        if value and kind != wanted and not (name == "ema" and kind is None):
            raise BadRequest(
                f"recipe: {name} {value:g}: expected averaging = {wanted!r}, which it is a number of, got "
                f"{'none named' if kind is None else repr(kind)}. Name it, or leave {name} out."
            )
    if kind == "ema" and recipe.ema == 0:
        raise BadRequest("recipe: averaging 'ema' with ema = 0 keeps no mean: leave one of the two out.")
    watch = recipe.overfitting
    if task in ("detect", "instances") and watch not in (None, "off"):
        raise BadRequest(
            f"recipe: overfitting {watch!r}: expected a dataset whose validation has a loss, got one of "
            "objects, whose networks have one while they learn only. Leave it out: patience ends such a run."
        )
    if recipe.strategy == "probe":
        used = [
            name for name in ("averaging", "ema", "overfitting", "batchnorm_stages") if getattr(recipe, name)
        ]
        if recipe.batchnorm != "frozen":
            used.append("batchnorm")
        if used:
            raise BadRequest(
                f"recipe: {', '.join(used)}: expected a strategy that trains, got 'probe', which is a fit on "
                "features. Leave it out, or use --strategy partial."
            )
