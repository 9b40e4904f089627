"""Make the tiny TensorFlow files of `tests/graphs/tensorflow`, with the answers that TensorFlow gives.

They are committed; TensorFlow is needed to make them again and for nothing else:

    python -m venv tf && tf/bin/pip install tensorflow
    tf/bin/python tools/make_tensorflow_graphs.py tests/graphs/tensorflow

Three files, weights at random by one seed, 3 pictures of 16x12 pixels:

- `classifier/`, a SavedModel as TensorFlow 2 writes them, with variables, a free batch and three signatures:
  floats (the default), bytes, and JPEG files.
- `slim.pb`, a frozen graph as TF-slim wrote them: a batch of one, a 1x1 convolution as head, 11 outputs, of
  which the first is the background.
- `inception.pb`, a frozen graph that begins with the decoding of a JPEG file, as the Inception of 2015 does:
  the network lies between the tensors `Mul` and `softmax`.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

SIZE = (16, 12)
CLASSES = 11
WIDTH = 10
EPSILON = 1e-3


def weights() -> dict[str, Any]:
    """Those of all three: convolution, depthwise convolution, head; each with its BatchNorm."""
    random = np.random.default_rng(11)
    made = {
        "first": random.normal(0, 0.4, (3, 3, 3, 8)),
        "depthwise": random.normal(0, 0.4, (3, 3, 8, 1)),
        "pointwise": random.normal(0, 0.4, (1, 1, 8, WIDTH)),
        "head": random.normal(0, 1.5, (WIDTH, CLASSES)),
        "head_bias": random.normal(0, 0.5, CLASSES),
    }
    for name, width in (("first", 8), ("depthwise", 8), ("pointwise", WIDTH)):
        made[f"{name}_gamma"] = random.uniform(0.5, 1.5, width)
        made[f"{name}_beta"] = random.normal(0.5, 0.3, width)
        made[f"{name}_mean"] = random.normal(0, 0.3, width)
        made[f"{name}_variance"] = random.uniform(0.5, 1.5, width)
    return {name: array.astype(np.float32) for name, array in made.items()}


def normalised(features: Any, of: dict[str, Any], name: str) -> Any:
    """BatchNorm in inference, then ReLU6."""
    parts = [of[f"{name}_{part}"] for part in ("gamma", "beta", "mean", "variance")]
    scaled = tf.compat.v1.nn.fused_batch_norm(features, *parts, epsilon=EPSILON, is_training=False)[0]
    return tf.nn.relu6(scaled)


def trunk(images: Any, of: dict[str, Any]) -> Any:
    """(N, 4, 3, WIDTH): SAME padding with an odd remainder, as MobileNet has."""
    found = normalised(tf.nn.conv2d(images, of["first"], 2, "SAME"), of, "first")
    found = tf.nn.depthwise_conv2d(found, of["depthwise"], [1, 1, 1, 1], "SAME")
    found = normalised(found, of, "depthwise")
    found = normalised(tf.nn.conv2d(found, of["pointwise"], 1, "SAME"), of, "pointwise")
    return tf.nn.max_pool2d(found, 3, 2, "SAME")


class Classifier(tf.Module):
    """The network with variables."""

    def __init__(self) -> None:
        super().__init__()
        self.of = {name: tf.Variable(array, name=name) for name, array in weights().items()}

    @tf.function(input_signature=[tf.TensorSpec((None, *SIZE, 3), tf.float32, "images")])
    def floats(self, images: Any) -> dict[str, Any]:
        """Values from 0 to 1."""
        vector = tf.reduce_mean(trunk(images * 2 - 1, self.of), (1, 2))
        logits = tf.matmul(vector, self.of["head"]) + self.of["head_bias"]
        return {"logits": logits, "scores": tf.nn.softmax(logits)}

    @tf.function(input_signature=[tf.TensorSpec((None, *SIZE, 3), tf.uint8, "pixels")])
    def bytes(self, pixels: Any) -> dict[str, Any]:
        """Values from 0 to 255."""
        return {"scores": self.floats(tf.cast(pixels, tf.float32) / 255)["scores"]}

    @tf.function(input_signature=[tf.TensorSpec((), tf.string, "jpeg")])
    def file(self, jpeg: Any) -> dict[str, Any]:
        """A JPEG file."""
        return self.bytes(tf.ensure_shape(tf.image.decode_jpeg(jpeg, 3)[None], (1, *SIZE, 3)))


def slim(of: dict[str, Any]) -> Any:
    """MobileNet's end as TF-slim builds it."""
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, (1, *SIZE, 3), "input")
        with tf.name_scope("MobilenetV1"):
            maps = tf.nn.avg_pool2d(trunk(images, of), (4, 3), 1, "VALID", name="Logits/AvgPool_1a/AvgPool")
            scores = tf.nn.conv2d(maps, of["head"][None, None], 1, "SAME", name="Logits/Conv2d_1c_1x1/Conv2D")
            scores = tf.nn.bias_add(scores, of["head_bias"], name="Logits/Conv2d_1c_1x1/BiasAdd")
            logits = tf.squeeze(scores, (1, 2), name="Logits/SpatialSqueeze")
            rows = tf.reshape(logits, (-1, CLASSES), name="Predictions/Reshape")
            tf.reshape(tf.nn.softmax(rows, name="Predictions/Softmax"), (1, CLASSES), "Predictions/Reshape_1")
    return graph


def inception(of: dict[str, Any]) -> Any:
    """The network behind the decoding of a file, its pictures from -1 to 1."""
    with tf.Graph().as_default() as graph:
        file = tf.compat.v1.placeholder(tf.string, (), "DecodeJpeg/contents")
        picture = tf.cast(tf.raw_ops.DecodeJpeg(contents=file, channels=3, name="DecodeJpeg"), tf.float32)
        resized = tf.compat.v1.image.resize_bilinear(picture[None], SIZE, name="ResizeBilinear")
        images = tf.multiply(tf.subtract(resized, 128, name="Sub"), 1 / 128, name="Mul")
        vector = tf.reshape(tf.reduce_mean(trunk(images, of), (1, 2)), (1, WIDTH), name="pool_3/_reshape")
        tf.nn.softmax(tf.matmul(vector, of["head"]) + of["head_bias"], name="softmax")
    return graph


def answers(graph: Any, given: str, asked: str, images: Any) -> Any:
    """What TensorFlow answers, one picture at a time."""
    with tf.compat.v1.Session(graph=graph) as session:
        return np.concatenate([session.run(asked, {given: image[None]}) for image in images])


def main(out: Path) -> None:
    """Write all of it."""
    pixels = np.random.default_rng(12).integers(0, 256, (3, *SIZE, 3), np.uint8)
    floats = pixels.astype(np.float32) / np.float32(255)
    model = Classifier()
    shutil.rmtree(out / "classifier", ignore_errors=True)
    signatures = {"serving_default": model.floats, "bytes": model.bytes, "file": model.file}
    options = tf.saved_model.SaveOptions(save_debug_info=False)
    tf.saved_model.save(model, out / "classifier", signatures, options)
    (out / "classifier" / "fingerprint.pb").unlink(missing_ok=True)
    graphs = {"slim": slim(weights()), "inception": inception(weights())}
    for name, graph in graphs.items():
        (out / f"{name}.pb").write_bytes(graph.as_graph_def().SerializeToString(deterministic=True))
    told = model.floats(floats)
    np.savez_compressed(
        out / "answers.npz",
        pixels=pixels,
        classifier=told["scores"].numpy(),
        classifier_logits=told["logits"].numpy(),
        slim=answers(graphs["slim"], "input:0", "MobilenetV1/Predictions/Reshape_1:0", floats),
        inception=answers(graphs["inception"], "Mul:0", "softmax:0", floats),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
