"""Fine-tuning of a torch module: the loop, and all that makes its result exact.

settings ── `TrainingData`, `TrainSettings`, `Trained`; checks ── how they are checked
optimisation ── `Optimisation`: how a step is made; optimizers ── torch's, and who learns how fast
schedule ── how the rate goes; rate_limits ── rates that are known to destroy a network
rate_finding ── `find_rate`: a rate by trial; dispatch ── the task that data is for
phases ── what learns in which epoch, in which mode; overfitting, ending ── when a run goes back, or ends
micro_batches ── a step in parts; activations ── computed twice, not kept
feeding ── threads that make batches; room ── the memory that pictures and maps share
ranks ── several processes that train together; gradients ── those of a step, added up over them
variation ── how training pictures are changed: levels and what is set beside them; augmentation, randaugment
    and mixing do it
ensembles ── `Ensemble`: several networks as one
contact_sheet ── `contact_sheet`: some training pictures as they are learned from
objective ── the loss of labels of images (class_losses), imbalance; teaching: what a teacher says of them
tasks ── `LearningTask`: what the loop asks of a task; of_classes, of_pixels and of_objects are three
scenes ── `PixelData`, `median_frequency_weights`: images with a label for each pixel
objects ── `ObjectData`: images with boxes or masks; contents: what of them is left in a view
views ── a changed view of a picture, applied alike to its pixels, masks and boxes; mosaics: four in one
averaging ── the running average of the weights
heads ── `head_of`, `set_head`, `with_head`: linear ones; head_modules: `mlp`, or a module of one's own
adapters ── `with_adapters`: low-rank adapters (LoRA); merging ── `merged`: the network with them written into
    it, and what is proved of it
stages ── `stages_of`, `all_but_last`: what can be frozen, by name
families ── `family_of_module`: what a network is made of
sizing ── `program_at`: the evaluation program at another input size
pace ── `images_per_second`, `paces`: what a plan needs to say how long it will take, and with which batch
loop ── `train`

    module = source.build()
    set_head(module, source.classifier, probe.weights, probe.bias)  # for a headless one: with_head(...)
    frozen = all_but_last(stages_of(module, source.classifier), 4)  # () to let everything learn
    data = TrainingData(paths, targets, other_paths, other_targets, classes, card.program, size=(128, 128))
    settings = TrainSettings(classifier=source.classifier, frozen=frozen, budget_seconds=1500)
    trained = train(module, data, settings, folder=work, resume=resume, on_progress=on_progress)
    card = replace(card, program=program_at(card.program, (128, 128)))  # what the result must be used with
    forget(work)  # once the result is sealed

A label for each pixel goes the same way, with `PixelData(rows, other_rows, program)` for the data, and
`settings.classifier` names all modules of the head. So do boxes and masks, with
`ObjectData(rows, other_rows, program, output)` and a module that has `losses` (`of_objects.ObjectTask`).

What it promises:

- The same module, data and settings give the same result, to the bit, on the CPU. `kill -9` at any moment,
  then `resume=True` with the same module (head included: keep the probe's weights, do not fit them anew),
  data and settings: the same result. A checkpoint of another run is refused with `BadRequest`; so is one that
  is there when `resume` is False. A run that was finished is resumed to its result at once.
- Frozen stages are in evaluation mode; their parameters and their BatchNorm statistics are the same bits
  before and after. A BatchNorm in a head that is new has no statistics to keep, and gathers its own.
- Validation is done with the very preprocessing that the result will be used with; epoch 0 is the module as
  it was given, so `best_epoch == 0` says that training never helped.
- Global random states, torch's threads and `requires_grad` are afterwards what they were. The module is left
  on the CPU, in evaluation mode, with its best state.
- Checkpoints are safetensors and JSON; each is a folder that is whole or not there.
"""

from __future__ import annotations

from signet.training.adapters import AdapterSettings, adapter_tensors, with_adapters
from signet.training.checkpoints import forget
from signet.training.contact_sheet import contact_sheet
from signet.training.ensembles import Ensemble
from signet.training.families import family_of_module
from signet.training.head_modules import checked_head, mlp, replace_head, taught_on_features
from signet.training.heads import Head, head_of, set_head, width_of, with_head
from signet.training.loop import train
from signet.training.merging import Merged, merged
from signet.training.objective import Objective
from signet.training.objects import ObjectData
from signet.training.optimisation import Optimisation
from signet.training.pace import images_per_second, paces
from signet.training.ranks import Ranks, part_company, ranks_of
from signet.training.rate_finding import RateCurve, find_rate
from signet.training.rate_limits import beyond_limit, refuse_rates
from signet.training.scenes import PixelData, median_frequency_weights
from signet.training.settings import TIMED, Trained, TrainingData, TrainSettings
from signet.training.sizing import program_at
from signet.training.stages import Stage, all_but_last, frozen_parameters, stages_of
from signet.training.teaching import Teaching
from signet.training.variation import Variation

__all__ = [
    "TIMED",
    "AdapterSettings",
    "Ensemble",
    "Head",
    "Merged",
    "ObjectData",
    "Objective",
    "Optimisation",
    "PixelData",
    "Ranks",
    "RateCurve",
    "Stage",
    "Teaching",
    "TrainSettings",
    "Trained",
    "TrainingData",
    "Variation",
    "adapter_tensors",
    "all_but_last",
    "beyond_limit",
    "checked_head",
    "contact_sheet",
    "family_of_module",
    "find_rate",
    "forget",
    "frozen_parameters",
    "head_of",
    "images_per_second",
    "median_frequency_weights",
    "merged",
    "mlp",
    "paces",
    "part_company",
    "program_at",
    "ranks_of",
    "refuse_rates",
    "replace_head",
    "set_head",
    "stages_of",
    "taught_on_features",
    "train",
    "width_of",
    "with_adapters",
    "with_head",
]
