"""The functions in a bundle's graph: from images, stored or encoded, to masks, probabilities and scores.

They take images of any height and width, mirror the borders that the network needs (kseg.geometry), average the scores
as the network does, and answer at the image's size.

The weights are variables. As constants, which `predict` holds, they made the bundle of the paper's U-Net 306 MB larger,
its export 22 s long in place of 4, with a peak of 3.5 GB in place of 0.9, and a server would copy them for each
signature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from kseg.bundles.decoding import decoded
from kseg.inference import Predictor, call_joined, computing_in, geometry_of, parts_of, white_of
from kseg.inference.averaging import averaged
from kseg.inference.graphs import class_ids
from kseg.layers import Average, ScaleInput

MASK, SCORES, PROBABILITIES, BYTES = "serving_default", "scores", "probabilities", "image_bytes"
Answers = dict[str, tf.Tensor]


class BundleGraph:
    """The functions of one network, all with the same weights.

    Args:
      model: the network.
      network: its predictor.
      average: what the graph averages over.
      most_pixels: of all images of a request together.
    """

    def __init__(self, model: keras.Model, network: Predictor, average: Average, most_pixels: int) -> None:
        self.kind = input_kind(model)
        self._network, self._most_pixels = network, most_pixels
        one_pass = whole_image(model)

        @tf.autograph.experimental.do_not_convert
        def scores(images: tf.Tensor) -> tf.Tensor:
            with computing_in(model, network.precision):
                return averaged(images, one_pass, average)

        # One function of the graph, which all endpoints call: the weights are in the bundle once.
        self._scores = tf.function(scores, input_signature=[tf.TensorSpec((None, None, None, network.channels))])

    def endpoints(self) -> dict[str, tuple[Callable[..., Answers], list[tf.TensorSpec]]]:
        """Each signature's function, and what it takes."""
        streams = self._network.streams
        stored = [
            tf.TensorSpec((None, None, None, channels), self.kind, name=stream or "images")
            for stream, channels in streams.items()
        ]
        encoded = [tf.TensorSpec((None,), tf.string, name=stream or "images") for stream in streams]
        return {
            MASK: (self._masks, stored),
            SCORES: (lambda *images: self._named(self._parts(images), "scores"), stored),
            PROBABILITIES: (self._probabilities, stored),
            BYTES: (self._of_bytes, encoded),
        }

    def _masks(self, *images: tf.Tensor) -> Answers:
        return self._named(self._ids(self._parts(images)), "mask")

    def _probabilities(self, *images: tf.Tensor) -> Answers:
        parts = self._parts(images)
        return self._named({head: tf.nn.softmax(part) for head, part in parts.items()}, "probabilities")

    def _of_bytes(self, *encoded: tf.Tensor) -> Answers:
        """Grey PNGs of the class ids, their sizes and what is wrong, for the bytes of files."""
        heads = list(self._network.heads)
        masks = tuple(tf.TensorSpec((), tf.string) for _ in heads)
        spec = (masks, tf.TensorSpec((2,), tf.int32), tf.TensorSpec((), tf.string))
        masks, sizes, faults = tf.map_fn(self._of_file, encoded, fn_output_signature=spec, parallel_iterations=1)
        files = {f"{named('mask', head)}_bytes": mask for head, mask in zip(heads, masks, strict=True)}
        return {**files, "height_width": sizes, "error": faults}

    def _of_file(self, data: Sequence[tf.Tensor]) -> tuple[tuple[tf.Tensor, ...], tf.Tensor, tf.Tensor]:
        """The same for one image; `data` has the file of each stream."""
        streams, heads = self._network.streams, self._network.heads
        pictures, fault = [], tf.constant("")
        for (stream, channels), file in zip(streams.items(), data, strict=True):
            picture, wrong = decoded(file, channels, self.kind, self._most_pixels)
            wrong = tf.where(wrong == "", "", tf.strings.join([f"{stream}: " if stream else "", wrong]))
            fault = tf.where(fault == "", wrong, fault)
            pictures.append(picture)
        size = tf.shape(pictures[0])[:2]
        for other in pictures[1:]:
            same = tf.reduce_all(tf.shape(other)[:2] == size)
            fault = tf.where((fault == "") & ~same, "The images of the streams differ in size.", fault)

        def answered() -> tuple[tuple[tf.Tensor, ...], tf.Tensor]:
            ids = self._ids(self._parts([picture[None] for picture in pictures]))
            return tuple(_png(ids[head][0], classes) for head, classes in heads.items()), size

        def refused() -> tuple[tuple[tf.Tensor, ...], tf.Tensor]:
            return tuple(tf.constant(b"") for _ in heads), tf.zeros(2, tf.int32)

        found, size = tf.cond(fault == "", answered, refused)
        return found, size, fault

    def _parts(self, images: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        """The scores (N, H, W, K) of each head."""
        joined = tf.concat([tf.cast(each, tf.float32) for each in images], axis=-1)
        pixels = tf.reduce_prod(tf.shape(joined, tf.int64)[:3])
        most = tf.constant(self._most_pixels, tf.int64)
        text = f"The images of a request may have {self._most_pixels:,} pixels together"
        with tf.control_dependencies([tf.debugging.assert_less_equal(pixels, most, text)]):
            return parts_of(self._scores(tf.identity(joined)), self._network.heads)

    def _ids(self, parts: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The class ids, uint8, or int32 for more than 256 classes."""
        ids = {head: class_ids(part, self._network.readings[head]) for head, part in parts.items()}
        return {head: part if part.dtype == tf.uint8 else tf.cast(part, tf.int32) for head, part in ids.items()}

    def _named(self, parts: Mapping[str, tf.Tensor], what: str) -> Answers:
        return {named(what, head): part for head, part in parts.items()}


def named(what: str, head: str) -> str:
    """The name of an output of a head; "" is the only head."""
    return f"{what}_{head}" if head else what


def _png(ids: tf.Tensor, classes: int) -> tf.Tensor:
    """A grey PNG of class ids (H, W), of 8 bits, or of 16 for more than 256 classes."""
    return tf.io.encode_png(tf.cast(ids, tf.uint8 if classes <= 256 else tf.uint16)[..., None])


def input_kind(model: keras.Model) -> tf.DType:
    """The type of a network's images as its scaling layer expects them.

    uint16 for depth and for images whose white is above 255. float32 if white is at most 1, or if nothing is scaled.
    uint8 otherwise.
    """
    scaled = any(isinstance(layer, ScaleInput) for layer in model.layers)
    white = white_of(model)
    if white is None:
        return tf.uint16 if scaled else tf.float32
    return tf.float32 if white <= 1 else tf.uint8 if white <= 255 else tf.uint16


def whole_image(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """The function from images (N, H, W, C) of any dtype and size to scores (N, H, W, K) float32.

    Streams are joined along C, heads along K.
    """
    geometry = geometry_of(model)

    @tf.autograph.experimental.do_not_convert
    def scores(images: tf.Tensor) -> tf.Tensor:
        height, width = tf.shape(images)[1], tf.shape(images)[2]
        given = tf.cast(images, tf.float32)
        for axis, size in ((1, height), (2, width)):
            # Without numbers below 0, which other programs divide in another way.
            beyond = tf.maximum(0, size + 2 * geometry.border - geometry.smallest)
            whole = geometry.smallest + (beyond + geometry.steps - 1) // geometry.steps * geometry.steps
            given = tf.gather(given, _mirrored(geometry.border, whole, size), axis=axis)
        return call_joined(model, given)[:, :height, :width]

    return scores


def _mirrored(border: int, count: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """kseg.geometry.mirrored as TensorFlow operations; tf.pad refuses borders as large as the image.

    The rows of an image with `size` rows that are read by `count` rows, the first of which lies `border` above it.
    """
    period = tf.maximum(1, 2 * (size - 1))
    index = (tf.range(count) + period - border % period) % period
    return tf.minimum(index, (period - index) % period)
