"""The recipe: every setting of one fine-tuning run, as one frozen value that goes to TOML and back."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from signet.errors import BadCard, BadRequest, MissingExtra, UnknownName
from signet.naming import shown
from signet.recipe_contradictions import refuse_contradictions
from signet.recipe_fields import checked, plain, setting, specs_of

Strategy = Literal[
    "auto", "probe", "head", "partial", "full", "scratch", "gradual", "probe-then-finetune", "lora"
]
Head = Literal["auto", "linear", "mlp", "unet", "fpn", "deeplabv3plus", "yolo", "faster-rcnn", "mask-rcnn"]
Augmentation = Literal["none", "light", "medium", "strong"]
BatchNorm = Literal["frozen", "batch", "re-estimated", "adapt"]

STRENGTHS = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""Weight of half the squared norm beside the mean loss of an image, on standardised features."""

_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Every setting of one fine-tuning run. None means: the plan decides, and says so.

    Attributes:
        preset: settings for a purpose, for all that is left at its default: "few-shot" (1 to 20 images a
            class), or "bit-hyperrule" (Kolesnikov et al. 2020, arXiv:1912.11370, section 3.3).
        search_seconds: time in which rates, weight decay, augmentation and frozen stages are tried before the
            training; None for none. How many are tried depends on the speed of the machine.
        strategy: "probe": a linear head on frozen features, no torch. "head": that head trained on
            augmented images. "partial": the last stages too. "full": everything. "scratch": everything, from
            random weights, to see what the pretraining is worth. Of labels of images also
            "probe-then-finetune": full by its proper name, since each of these begins with the probe's head;
            "gradual": likewise, stages thawing from the head down; "lora": low-rank adapters beside the
            weights of a transformer, merged before it is sealed. "auto": probe, and then what suits data and
            network, where torch is installed; the better of the two is sealed.
        head: what is put on the backbone: "linear" or "mlp" (one hidden layer) for one label an image;
            "unet", "fpn" or "deeplabv3plus" for a label for each pixel; "yolo" for boxes or masks,
            "faster-rcnn" for boxes, "mask-rcnn" for masks; "auto": linear, unet or yolo, as the dataset asks.
        head_hidden: hidden values of the head "mlp"; None for as many as features, at most 1024.
        head_dropout: share of them that are zero while it learns.
        lora_rank: rank of the adapters of strategy "lora"; they learn at the head's rate.
        lora_alpha: what they add is multiplied by this over the rank.
        epochs: passes over the training images; None for about 30,000 images in all, 4 to 30 passes (where
            pixels are learned 6,000, objects 12,000, by an R-CNN 6,000; 10 to 100 passes).
        batch: images that go through the network at once; None for 32 (where pixels are learned 4, where
            objects are 8 or 2); "auto": as many as this machine is quickest with, by a short trial, which
            makes the result depend on the machine.
        accumulate: batches whose gradients make one step together.
        head_rate: highest learning rate of the head.
        backbone_rate: highest learning rate of all below the head.
        stage_rates: highest learning rates of single stages, by name: `{ "stages.0" = 1e-5 }`.
        layer_decay: share of the rate of the stage after it at which a stage learns, from the head down; 1
            for one rate.
        allow_rate: learn at rates that are known to destroy networks of this family, too.
        optimizer: torch's "adamw", "sgd", "adam", "radam", "nadam", "rmsprop" or "adagrad".
        momentum: of sgd and rmsprop.
        nesterov: of sgd: the gradient is taken ahead of the momentum.
        weight_decay: the optimizer's; not on norms and biases.
        schedule: how the rates go after the warm-up: "cosine" or "linear" to 0, "constant", "step", or
            "one-cycle", which has a rise of its own.
        step_at: of the schedule "step": shares of the run after which the rates are multiplied ...
        step_factor: ... by this.
        warmup: fraction of all steps in which the rates rise.
        class_weights: how much a class counts in the loss: of pixels' labels "median" (the median frequency
            over each one's own); of labels of images "inverse" (one over its images) or "balanced" (by the
            effective number of images); or "none". None for median of pixels, none of images.
        sampling: "natural": every image once an epoch; "balanced": every class alike, one label an image.
        loss: of labels of images: "cross-entropy", "focal" (what is nearly right counts less) or "bce" (of
            each label on its own); None for cross-entropy, and bce where several labels can be right.
        focusing: gamma of the focal loss.
        label_smoothing: fraction of the target that is spread over all classes; pixels have none.
        augmentation: "none", "light" (flip, crops of 60 to 100 %), "medium" (also colour, crops from 40 %)
            or, of labels of images, "strong" (crops from 30 %, and the four below at 7, 0.25, 0.1 and 1).
        randaugment: magnitude of two operations of RandAugment, to 30; None as the level has it.
        erasing: share of the pictures of which a box is noise; None likewise.
        mixup: alpha of the shares in which pictures are blended, 0 for none; None likewise.
        cutmix: alpha of the areas that another picture covers, 0 for none; None likewise.
        progressive: sizes of the input, in pixels, to which the epochs are dealt in equal parts; the last is
            the one that is sealed. Empty for that alone.
        teacher: a model that knows the same labels, from whose answers the network learns too: a seal, or
            what else can be loaded.
        teacher_views: "once": the teacher is asked once of each image; "each": of every view that the network
            sees; None for once without augmentation, else each.
        teacher_temperature: by which both answers are softened before they are compared.
        teacher_weight: share of the loss that is the distance from the teacher.
        mosaic: share of the training pictures that are made of four, where objects are learned; None for the
            plan's choice.
        ema: decay of the running mean of the weights, where that is judged and kept; 0 keeps the weights
            themselves; None for the plan's choice.
        flip: whether left and right may be exchanged; False for letters and digits.
        patience: epochs without a better validation after which training ends; 0 never ends early; None for
            5 (where objects are learned 15).
        gradient_clip: greatest norm of all gradients together; 0 clips nothing.
        freeze: names of stages that stay as they are, instead of those that the plan would choose.
        frozen_stages: leading stages that stay as they are; None for the plan's choice.
        batchnorm: statistics of each BatchNorm that is not frozen: "frozen" keeps those of the pretraining,
            as those of few images are worse; "batch" gathers those of the batches; "re-estimated" does so,
            and computes them anew over the training images before each validation; "adapt" computes them anew
            once, before the first step of their stage, and then keeps them. (`freeze_batchnorm = true` or
            false, as earlier recipes have it, is read as "frozen" or "batch".)
        batchnorm_stages: another of these for single stages, by name: `{ "stages.3" = "batch" }`.
        averaging: which weights are judged and kept: "none" those of each epoch, "ema" their running mean,
            "swa" the plain mean of the last epochs, "soup" the mean of those epochs by which validation gets
            better; None for the plan's choice.
        swa_start: share of the epochs after which those come that "swa" averages; None for 0.75.
        swa_rate: the rate meanwhile, over the highest; None for 0.5.
        soup_epochs: of how many epochs a "soup" is tried; None for 5.
        overfitting: what happens when the network learns its images by heart: "stop", "step-back" (to the
            best epoch, at a lower rate, twice at most) or "off"; None for "stop" where validation has a loss.
        input_size: height and width to train and predict at, of pixels the short side; None for the plan's
            choice.
        target: images of the kind that the model will be used on, where that differs from what it learns
            from: a folder, a list or a dataset. The result is adapted to them. Labels that they have say what
            that was worth, and decide nothing.
        adaptation: how: "adabn" (BatchNorm takes their statistics), "coral" (a linear head is fitted on
            features that have their covariance), "tent" (after adabn, scale and shift of the norms make
            answers surer), "none" (is measured alone), or "auto": what those images without labels speak for.
        random_baseline: train the same network from random weights, too, with the same steps, to show what
            the pretraining is worth, where labels of images are learned.
        seed: of folds, order, augmentation and intervals.
        budget_seconds: time that training may take; the plan then does fewer epochs. The result depends on
            the speed of the machine when it is given.
        validation_fraction: of the training images, where the dataset has no validation split.
        test_fraction: of all images, held out before anything else where the dataset has no test split and
            something is trained beyond a probe.
        folds: of the cross-validation of the probe.
        kfold: networks, of labels of images, each trained without one of so many folds, which judges it; the
            mean of their logits is sealed. None trains one network.
        strengths: of regularisation that the probe tries.
        golden: "own": a few of the user's images go into the seal as evidence; "made": none does.
        threads: processor threads; None for all that this process may use.
        workers: threads that make batches; None for one, and more where the network waits for it.
        training_precision: of training: "fp32", "bf16", or "auto" for the quicker one by a short trial, which
            makes the result depend on the machine.
        checkpoint_activations: compute the activations of what learns twice instead of keeping them: less
            memory, more time, the same result.
        checkpoint_seconds: time between two checkpoints inside an epoch.
        engine: that extracts features and measures: "auto", "openvino", "onnx", "torch".
        precision: of that engine; "fp32" gives the same result with and without evidence for bf16.
        device: of training and of the torch engine: "cpu", "cuda" ...
    """

    preset: Literal["few-shot", "bit-hyperrule"] | None = None
    strategy: Strategy = "auto"
    head: Head = "auto"
    head_hidden: int | None = setting(None, 1, 65_536)
    head_dropout: float = setting(0.0, 0, 0.9)
    lora_rank: int = setting(8, 1, 4096)
    lora_alpha: int = setting(16, 1, 65_536)
    epochs: int | None = setting(None, 1, 10_000)
    batch: int | Literal["auto"] | None = setting(None, 2, 65_536)
    accumulate: int = setting(1, 1, 65_536)
    head_rate: float = setting(1e-3, 0, 1)
    backbone_rate: float = setting(1e-4, 0, 0.1)
    stage_rates: Mapping[str, float] = setting({}, 1e-12, 1)
    layer_decay: float = setting(1.0, 0.01, 1)
    allow_rate: bool = False
    optimizer: Literal["adamw", "sgd", "adam", "radam", "nadam", "rmsprop", "adagrad"] = "adamw"
    momentum: float = setting(0.9, 0, 0.9999)
    nesterov: bool = False
    weight_decay: float = setting(0.02, 0, 1)
    schedule: Literal["cosine", "linear", "constant", "one-cycle", "step"] = "cosine"
    step_at: tuple[float, ...] = setting((0.5, 0.75), 0, 0.9999)
    step_factor: float = setting(0.1, 0, 1)
    warmup: float = setting(0.1, 0, 0.9)
    class_weights: Literal["median", "inverse", "balanced", "none"] | None = None
    sampling: Literal["natural", "balanced"] = "natural"
    loss: Literal["cross-entropy", "focal", "bce"] | None = None
    focusing: float = setting(2.0, 0, 10)
    label_smoothing: float = setting(0.1, 0, 0.9)
    augmentation: Augmentation = "light"
    randaugment: float | None = setting(None, 0, 30)
    erasing: float | None = setting(None, 0, 1)
    mixup: float | None = setting(None, 0, 100)
    cutmix: float | None = setting(None, 0, 100)
    progressive: tuple[int, ...] = setting((), 16, 2048)
    teacher: str | None = None
    teacher_views: Literal["once", "each"] | None = None
    teacher_temperature: float = setting(2.0, 0.1, 100)
    teacher_weight: float = setting(0.5, 0, 1)
    mosaic: float | None = setting(None, 0, 1)
    ema: float | None = setting(None, 0, 0.99999)
    flip: bool = True
    patience: int | None = setting(None, 0, 10_000)
    gradient_clip: float = setting(1.0, 0, 1e6)
    freeze: tuple[str, ...] = setting(())
    frozen_stages: int | None = setting(None, 0, 10_000)
    batchnorm: BatchNorm = "frozen"
    batchnorm_stages: Mapping[str, BatchNorm] = setting({})
    averaging: Literal["none", "ema", "swa", "soup"] | None = None
    swa_start: float | None = setting(None, 0.01, 0.99)
    swa_rate: float | None = setting(None, 0.001, 1)
    soup_epochs: int | None = setting(None, 2, 100)
    overfitting: Literal["off", "stop", "step-back"] | None = None
    input_size: int | None = setting(None, 16, 2048)
    target: str | None = None
    adaptation: Literal["auto", "none", "adabn", "coral", "tent"] = "auto"
    random_baseline: bool = False
    seed: int = setting(0, 0, 2**63 - 1)
    budget_seconds: float | None = setting(None, 1, 1e8)
    search_seconds: float | None = setting(None, 1, 1e8)
    validation_fraction: float = setting(0.1, 0.01, 0.5)
    test_fraction: float = setting(0.2, 0.01, 0.5)
    folds: int = setting(5, 2, 100)
    kfold: int | None = setting(None, 2, 20)
    strengths: tuple[float, ...] = setting(STRENGTHS, 1e-12, 1e6)
    golden: Literal["own", "made"] = "own"
    threads: int | None = setting(None, 1, 4096)
    workers: int | None = setting(None, 1, 4096)
    training_precision: Literal["fp32", "bf16", "auto"] = "fp32"
    checkpoint_activations: bool = False
    checkpoint_seconds: float = setting(60.0, 0, 1e6)
    engine: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "int8"] = "fp32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        for spec, kind in specs_of(Recipe).values():
            object.__setattr__(self, spec.name, checked(spec, kind, getattr(self, spec.name)))
        refuse_contradictions(self)
        self._check_sizes()

    def _check_sizes(self) -> None:
        """The last of the sizes that grow is the input size, whether it is named twice or once."""
        if not self.progressive:
            return
        if list(self.progressive) != sorted(set(self.progressive)):
            raise BadRequest(f"recipe: progressive: expected sizes that grow, got {list(self.progressive)}.")
        last = self.progressive[-1]
        if self.input_size not in (None, last):
            raise BadRequest(
                f"recipe: progressive ends with {last} and input_size is {self.input_size}: expected one "
                "size, since the last is the one that is sealed. Leave input_size out."
            )
        object.__setattr__(self, "input_size", last)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """From plain values, strictly.

        Raises:
            BadRequest: an unknown setting (with near misses), another type, a value out of range.
        """
        known = specs_of(Recipe)
        values = _of_today(values)
        for key in values:
            if key not in known:
                raise UnknownName("setting of a recipe", str(key), known, f"Known: {', '.join(known)}.")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, every setting; `from_dict` of it is an equal recipe."""
        return {name: plain(getattr(self, name)) for name in specs_of(Recipe)}

    @classmethod
    def from_toml(cls, text: str) -> Recipe:
        """From TOML; what is left out has its default.

        Raises:
            BadCard: no TOML.
            BadRequest: an unknown setting, another type, a value out of range.
        """
        try:
            return cls.from_dict(tomllib.loads(text))
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise BadCard(f"a recipe: expected TOML, got something else ({error}).") from error

    def to_toml(self) -> str:
        """As TOML, every setting that is decided; one that is not given is a comment.

        Raises:
            MissingExtra: tomli-w is not installed (extra `fit`).
        """
        try:
            import tomli_w
        except ImportError as error:
            raise MissingExtra("Writing a recipe", "fit", "tomli-w") from error
        values = self.to_dict()
        left = "".join(f"# {name} is not given\n" for name, value in values.items() if value is None)
        # Tables come last in TOML: a comment after one would seem to be of it.
        return left + tomli_w.dumps({name: value for name, value in values.items() if value is not None})

    def changed(self, **values: Any) -> Recipe:
        """The same recipe with other values for some settings.

        Raises:
            BadRequest: an unknown setting, another type, a value out of range.
        """
        return Recipe.from_dict({**self.to_dict(), **values})


def settings_in(words: Iterable[str]) -> dict[str, Any]:
    """Settings of a recipe as a person writes them in a line each: `NAME=VALUE`.

    Args:
        words: a value is TOML (`3`, `1e-4`, `true`, `["stem"]`, `{ stem = 1e-5 }`); what is none is text.

    Raises:
        BadRequest: no `=`, an unknown setting (with near misses), or one that is stated twice.
    """
    found: dict[str, Any] = {}
    known = specs_of(Recipe)
    for word in words:
        name, equals, value = (part.strip() for part in word.partition("="))
        if not equals:
            raise BadRequest(f"--set {shown(word)}: expected NAME=VALUE, as in --set epochs=3.")
        if name not in known:
            raise UnknownName("setting of a recipe", name, known, f"Known: {', '.join(known)}.")
        if name in found:
            raise BadRequest(f"--set {name}: expected each setting once, got it twice.")
        try:
            found[name] = tomllib.loads(f"value = {value}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError):
            found[name] = value
    return found


def read_recipe(path: str | Path | None, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe file, with some settings given beside it, which win.

    Args:
        path: a TOML file; None for the defaults.
        overrides: settings by name.

    Raises:
        BadCard: the file cannot be read, or is no TOML.
        BadRequest: an unknown setting, another type, a value out of range.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            with Path(path).open("rb") as stream:
                raw = stream.read(_MOST_BYTES + 1)
        except OSError as error:
            raise BadCard(
                f"{shown(path)}: a recipe file cannot be read: {error.strerror or error}."
            ) from error
        if len(raw) > _MOST_BYTES:
            raise BadCard(f"{shown(path)}: expected a recipe of at most {_MOST_BYTES} bytes. It is not read.")
        try:
            values = tomllib.loads(raw.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise BadCard(
                f"{shown(path)}: expected a recipe in TOML, got something else ({error})."
            ) from error
        try:
            Recipe.from_dict(values)
        except BadRequest as error:
            raise BadRequest(f"{shown(path)}: {error}") from error
    return Recipe.from_dict({**values, **(overrides or {})})


def _of_today(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings as they are called now.

    Raises:
        BadRequest: an earlier one beside the one that it has become, or of another type.
    """
    if "freeze_batchnorm" not in values:
        return values
    old = values["freeze_batchnorm"]
    if "batchnorm" in values:
        raise BadRequest(
            f"recipe: freeze_batchnorm ({old!r}) is called batchnorm now, which is stated, too: expected one "
            "of the two. Leave freeze_batchnorm out."
        )
    if not isinstance(old, bool):
        raise BadRequest(
            f"recipe: freeze_batchnorm is true or false; got {old!r}. It is called batchnorm now."
        )
    others = {name: value for name, value in values.items() if name != "freeze_batchnorm"}
    return {**others, "batchnorm": "frozen" if old else "batch"}
