"""`Features`: a pretrained network as a step of a scikit-learn pipeline; no torch where a graph is had."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from signet import answers
from signet.arrays import Floats
from signet.batches import Outputs
from signet.engines.contract import EngineSettings
from signet.errors import BadInput, BadRequest, UnknownName
from signet.features.cutting import graph_with_features
from signet.features.extraction import default_cache, extract
from signet.images import Image
from signet.models import Model, load, resolve
from signet.networks import Pretrained
from signet.progress import silent
from signet.streaming import outputs, settings_for

if TYPE_CHECKING:
    from sklearn.utils import Tags


class Features:
    """Images in, float32 (N, D) features of a frozen pretrained network out.

    A transformer of scikit-learn: it has `fit`, `transform`, `fit_transform`, `get_params`, `set_params`
    and `get_feature_names_out`, can be cloned and stands in a `Pipeline`. It learns nothing from the data:
    `fit` only opens the model. Features of files are kept on disk and computed once; those of images in
    memory are computed each time.

    Args:
        model: a catalogue name, a seal, a graph file, or what `resolve` found.
        engine: "auto", "openvino", "onnx", "torch".
        precision: "fp32" gives the same features everywhere; "auto" takes bf16 where it is proven.
        batch: images for each run of the network; None for a good number.
        threads: processor threads; None for all usable ones.
        keep: whether features of files are kept on disk, between calls and between programs.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.pipeline import make_pipeline
        >>> pipeline = make_pipeline(Features("starter"), LogisticRegression())
        >>> pipeline.fit(paths, labels).predict(["robin.jpg"])       # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | Path | Pretrained = "starter",
        *,
        engine: str = "auto",
        precision: str = "fp32",
        batch: int | None = None,
        threads: int | None = None,
        keep: bool = True,
    ) -> None:
        self.model = model
        self.engine = engine
        self.precision = precision
        self.batch = batch
        self.threads = threads
        self.keep = keep

    def fit(self, X: Sequence[Any], y: object = None) -> Features:  # noqa: ARG002  scikit-learn's signature
        """Find the model and the length of its features; the images teach it nothing.

        Args:
            X: the images, as for `transform`; one of them is run to learn the length of the features.
            y: ignored.

        Raises:
            UnknownName: no such model.
            WrongTask: the model has no features.
            BadInput: no image, or the first one cannot be read.
        """
        images = _checked(X)
        with self._open() as model:
            self.feature_count_ = int(self._run(model, images[:1]).shape[1])
            self.model_name_ = model.card.name
        return self

    def transform(self, X: Sequence[Any]) -> Floats:
        """Features of images.

        Args:
            X: paths, `Image` values, or uint8 arrays (H, W, 3) in RGB; or one array (N, H, W, 3).

        Returns:
            float32 (N, D), in the order of X.

        Raises:
            BadInput: an image cannot be read; the message names it.
        """
        self._check_fitted()
        images = _checked(X)
        with self._open() as model:
            return self._run(model, images)

    def fit_transform(self, X: Sequence[Any], y: object = None) -> Floats:  # noqa: ARG002
        """`fit`, then `transform`, with the model opened once."""
        images = _checked(X)
        with self._open() as model:
            table = self._run(model, images)
            self.feature_count_ = int(table.shape[1])
            self.model_name_ = model.card.name
        return table

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray[Any, Any]:  # noqa: ARG002
        """D names: "features0", "features1" ..., as an array of objects."""
        self._check_fitted()
        return np.array([f"features{place}" for place in range(self.feature_count_)], dtype=object)

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002  there is nothing inside
        """The settings, by name."""
        return {name: getattr(self, name) for name in _PARAMETERS}

    def set_params(self, **values: Any) -> Features:
        """Change settings.

        Raises:
            UnknownName: no such setting.
        """
        for name, value in values.items():
            if name not in _PARAMETERS:
                raise UnknownName(
                    "setting of Features", name, _PARAMETERS, f"Known: {', '.join(_PARAMETERS)}."
                )
            setattr(self, name, value)
        return self

    def set_output(self, *, transform: str | None = None) -> Features:
        """For pipelines that ask: features stay numpy arrays.

        Raises:
            BadRequest: another container than numpy's was asked for.
        """
        if transform not in (None, "default"):
            raise BadRequest(
                f"Features gives numpy arrays, expected transform='default', got {transform!r}. "
                "Make a table of them with pandas.DataFrame(features, columns=it.get_feature_names_out())."
            )
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "feature_count_")

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="transformer",
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=[]),
            input_tags=InputTags(one_d_array=True, two_d_array=False, three_d_array=True, string=True),
            no_validation=True,
        )

    def __repr__(self) -> str:
        changed = (
            f"{name}={getattr(self, name)!r}"
            for name, default in _PARAMETERS.items()
            if getattr(self, name) != default
        )
        return f"Features({', '.join(changed)})"

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            from sklearn.exceptions import NotFittedError

            raise NotFittedError("This Features instance is not fitted yet. Call 'fit' first.")

    def _open(self) -> Model[Any]:
        found = self.model if isinstance(self.model, Pretrained) else resolve(self.model)
        settings: EngineSettings = settings_for(
            many=True, threads=self.threads, batch=self.batch, engine=self.engine
        )
        precision: Any = self.precision
        return load(graph_with_features(found), engine=self.engine, precision=precision, settings=settings)

    def _run(self, model: Model[Any], images: Sequence[Image | Path]) -> Floats:
        rows: list[Floats | None] = [None] * len(images)
        files = [place for place, image in enumerate(images) if isinstance(image, Path)]
        if files:
            cache = default_cache() if self.keep else None
            paths = [image for image in images if isinstance(image, Path)]
            found = extract(model, paths, cache=cache, on_progress=silent)
            if found.failures:
                raise found.failures[0][1]
            for place, row in zip(files, found.features, strict=True):
                rows[place] = row
        others = [place for place, image in enumerate(images) if isinstance(image, Image)]

        def take(raw: Outputs) -> Sequence[Floats]:
            return list(answers.features(raw, model.card.output))

        for place, answered in zip(others, outputs(model, (images[i] for i in others), take), strict=True):
            if answered.answer is None:
                raise answered.error or BadInput(f"image {place}: no features.")
            rows[place] = answered.answer
        return np.stack([row for row in rows if row is not None]).astype(np.float32, copy=False)


def _checked(X: Sequence[Any]) -> list[Image | Path]:
    """Paths and images, from all that is taken for them.

    Raises:
        BadInput: no image, one path in place of a list, or values that are neither.
    """
    if isinstance(X, str | Path | Image):
        raise BadInput("Features: expected a list of paths or images, got a single one. Put it into a list.")
    images: list[Image | Path] = []
    for place, value in enumerate(X):
        if isinstance(value, Image):
            images.append(value)
        elif isinstance(value, str | Path):
            images.append(Path(str(value)))
        elif isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 3:
            images.append(Image(value))
        else:
            came = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
            raise BadInput(
                f"Features, entry {place}: expected a path, an Image, or a uint8 array (H, W, 3), got {came}."
            )
    if not images:
        raise BadInput("Features: expected at least one image, got none (0 samples).")
    return images


_PARAMETERS: dict[str, Any] = {
    name: parameter.default
    for name, parameter in inspect.signature(Features.__init__).parameters.items()
    if name != "self"
}
