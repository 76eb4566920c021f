"""What `compile` takes: pixel-weighted cross-entropy, Dice, and the mean-IU metric.

All of them take labels (N, H, W) or (N, H, W, 1) with a void number, and scores (N, H', W', K) before softmax. The
losses take weights (`sample_weight`): (N, H, W) or (N, H, W, 1), one per pixel, or (N,), one per image. The metric
ignores weights. A U-Net with valid convolutions gives scores that are smaller than the label; then the centre of label
and weights counts. Any other rank is a ValueError.

A label that is neither a class nor void, or not a whole number, makes the loss and the metric NaN, so that it is
noticed. Everything is computed in float32, whatever the precision of the scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import keras
from keras import ops

from kseg.errors import ConfigError, Setting, in_a_line
from kseg.log import LOG
from kseg.options import AtLeast, check_values
from kseg.registry import Registry


def pixel_cross_entropy(label: Any, scores: Any, ignore_class: int = 255) -> tuple[Any, Any, Any]:
    """The loss of each pixel, -log softmax at its label.

    Args:
      label: (N, H, W) or (N, H, W, 1) integers, 0..K-1 or `ignore_class`.
      scores: (N, H', W', K) of any float dtype.
      ignore_class: the void number.

    Returns:
      The loss, (N, H', W') float32, 0 where void; (N, H', W') float32, 1 where the pixel counts, 0 where it is void;
      and one boolean: whether any label is neither a class nor void. Then the loss means nothing.

    Raises:
      ValueError: a label of another rank, or one score per pixel.

    Source: U-Net paper, equation 1, with the opposite sign: the paper maximises its sum.
    """
    scores = ops.cast(scores, "float32")
    label, counts, has_strays = _classes(label, scores, ignore_class)
    loss = ops.logsumexp(scores, axis=-1) - ops.sum(
        ops.one_hot(label, scores.shape[-1], dtype="float32") * scores, axis=-1
    )
    return loss * counts, counts, has_strays


def centre(pixels: Any, scores: Any) -> Any:
    """The centre of `pixels`, (N, H, W) or (N, H, W, 1), as (N, H', W'), the size of `scores` (N, H', W', K).

    Raises:
      ValueError: `pixels` has another rank.
    """
    if pixels.ndim == 4 and pixels.shape[-1] in (1, None):
        pixels = ops.squeeze(pixels, -1)
    if pixels.ndim != 3:
        raise ValueError(
            f"Labels and weights per pixel have to be (N, H, W) or (N, H, W, 1), found the shape {pixels.shape}. "
            "A network that has taken arrays of another rank before has to be compiled again."
        )
    height, width = ops.shape(pixels)[1:3]
    wanted_height, wanted_width = ops.shape(scores)[1:3]
    top, left = (height - wanted_height) // 2, (width - wanted_width) // 2
    return pixels[:, top : top + wanted_height, left : left + wanted_width]


def check_scores(scores: Any, classes: int | None = None) -> None:
    """Checks the last axis of scores (N, H, W, K), and for a loss that they come before softmax.

    Args:
      scores: of a batch.
      classes: how many classes a metric counts; it may be given probabilities, too. None for a loss.

    Raises:
      ValueError: there is one score per pixel, or not one for each of the classes; or a loss is given probabilities.
    """
    found = scores.shape[-1]
    if classes is None and found != 1 and getattr(scores, "_keras_logits", None) is not None:  # as Keras' losses do
        raise ValueError(
            "Scores per pixel before softmax are wanted, but the network ends in softmax or sigmoid, and the loss "
            "would apply softmax again. Leave that activation out."
        )
    if found is not None and (found < 2 or classes not in (None, found)):
        wanted = "two or more scores" if classes is None else f"{classes} scores, one for each class,"
        raise ValueError(
            f"{wanted[0].upper()}{wanted[1:]} per pixel before softmax are wanted, found {found} (the shape "
            f"{tuple(scores.shape)}). End the network in a convolution with as many filters as there are classes, "
            "background counted too, without sigmoid or softmax."
        )


def _whole(label: Any) -> Any:
    """Labels as int32. A fraction, as in a mask that was resized, becomes a number that is neither class nor void."""
    label = ops.convert_to_tensor(label)
    numbers = ops.cast(label, "int32")
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(label.dtype)):
        return numbers
    return ops.where(label == ops.floor(label), numbers, -(2**31))


def _classes(label: Any, scores: Any, ignore_class: int) -> tuple[Any, Any, Any]:
    """Labels that are classes.

    Returns:
      (N, H', W') int32, 0..K-1, 0 where the label is none of the classes; (N, H', W') float32, 0 where it is void, else
      1; and one boolean: whether any label is neither a class nor void.
    """
    check_scores(scores)
    label = centre(_whole(label), scores)
    counts, is_class = label != ignore_class, (label >= 0) & (label < scores.shape[-1])
    return ops.where(counts & is_class, label, 0), ops.cast(counts, "float32"), ops.any(counts & ~is_class)


def _ratio(above: Any, below: Any, empty: float) -> Any:
    """`above` / `below`, and `empty` where `below` is 0."""
    return ops.where(below == 0, empty, above / ops.where(below == 0, 1.0, below))


def _mean_or_sum(total: Any, whole: Any, *, is_sum: bool) -> Any:
    """`total` / `whole`, 0 if `whole` is 0; or `total` itself, NaN if `whole` is NaN."""
    return ops.where(ops.isnan(whole), whole, total) if is_sum else _ratio(total, whole, 0.0)


def _weights(weight_map: Any, counts: Any, scores: Any) -> Any:
    """The weights of the pixels, (N, H', W') float32, 0 where the label is void."""
    if weight_map is None:
        return counts
    weights = ops.cast(weight_map, "float32")
    return counts * (ops.reshape(weights, (-1, 1, 1)) if weights.ndim == 1 else centre(weights, scores))


class BatchLoss(keras.losses.Loss):
    """A loss that is a function of sums over the batch, so that several devices can share a batch.

    Each device computes the `sums` of its part. These are added up over the devices, and `of_sums` gives the loss.
    """

    def sums(self, label: Any, scores: Any, weight_map: Any = None) -> list[Any]:
        """The sums over this part of the batch."""
        raise NotImplementedError

    def of_sums(self, sums: Sequence[Any]) -> Any:
        """The loss of a batch with these `sums`."""
        raise NotImplementedError

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return self.of_sums(self.sums(y_true, y_pred, sample_weight))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self(y_true, y_pred)


@keras.saving.register_keras_serializable("kseg")
class PixelCrossEntropy(BatchLoss):
    """Softmax cross-entropy with a weight per pixel or image (`sample_weight`); void pixels are left out.

    Args:
      ignore_class: the void number.
      average: what the weighted sum is divided by: "pixels" (their number, void ones left out), "weights" (the sum of
        their weights), or "none" (the sum itself, as in the paper's equation 1). A batch that is all void gives 0.
    """

    def __init__(
        self,
        ignore_class: int = 255,
        average: Literal["pixels", "weights", "none"] = "pixels",
        name: str = "pixel_cross_entropy",
    ) -> None:
        super().__init__(name=name, reduction="none")
        self.ignore_class, self.average = ignore_class, average

    def sums(self, label: Any, scores: Any, weight_map: Any = None) -> list[Any]:
        loss, counts, has_strays = pixel_cross_entropy(label, scores, self.ignore_class)
        weights = _weights(weight_map, counts, scores)
        # NaN goes into the divisor: among the pixels' losses it would change how XLA rounds all gradients.
        whole = ops.sum(weights if self.average == "weights" else counts)
        return [ops.sum(loss * weights), ops.where(has_strays, float("nan"), whole)]

    def of_sums(self, sums: Sequence[Any]) -> Any:
        return _mean_or_sum(*sums, is_sum=self.average == "none")

    def get_config(self) -> dict:
        return {"ignore_class": self.ignore_class, "average": self.average, "name": self.name}


@keras.saving.register_keras_serializable("kseg")
class Dice(BatchLoss):
    """1 - the mean over the classes of 2 sum(p y) / (sum p + sum y), p the softmax, over the whole batch.

    A weight per pixel or image applies to every sum. A class whose sums are 0 counts as 1. Void pixels are left out,
    and a batch that is all void gives 0.

    Source: Milletari, Navab, Ahmadi, "V-Net" (2016), with plain sums in the denominator where the paper has squares.
    """

    def __init__(self, ignore_class: int = 255, name: str = "dice") -> None:
        super().__init__(name=name, reduction="none")
        self.ignore_class = ignore_class

    def sums(self, label: Any, scores: Any, weight_map: Any = None) -> list[Any]:
        scores = ops.cast(scores, "float32")
        label, counts, has_strays = _classes(label, scores, self.ignore_class)
        truth = ops.one_hot(label, scores.shape[-1], dtype="float32")
        probabilities = ops.softmax(scores, axis=-1)
        weights = ops.expand_dims(_weights(weight_map, counts, scores), -1)
        common = ops.sum(weights * probabilities * truth, axis=(0, 1, 2))
        whole = ops.sum(weights * (probabilities + truth), axis=(0, 1, 2))
        return [common, ops.where(has_strays, float("nan"), whole)]

    def of_sums(self, sums: Sequence[Any]) -> Any:
        common, whole = sums
        return 1 - ops.mean(_ratio(2 * common, whole, 1.0))

    def get_config(self) -> dict:
        return {"ignore_class": self.ignore_class, "name": self.name}


@keras.saving.register_keras_serializable("kseg")
class CrossEntropyAndDice(BatchLoss):
    """PixelCrossEntropy plus `dice` times Dice."""

    def __init__(self, dice: float = 1.0, ignore_class: int = 255, name: str = "cross_entropy_and_dice") -> None:
        super().__init__(name=name, reduction="none")
        self.dice, self.ignore_class = dice, ignore_class
        self._parts = PixelCrossEntropy(ignore_class), Dice(ignore_class)

    def sums(self, label: Any, scores: Any, weight_map: Any = None) -> list[Any]:
        return [each for part in self._parts for each in part.sums(label, scores, weight_map)]

    def of_sums(self, sums: Sequence[Any]) -> Any:
        cross_entropy, dice = self._parts
        return cross_entropy.of_sums(sums[:2]) + self.dice * dice.of_sums(sums[2:])

    def get_config(self) -> dict:
        return {"dice": self.dice, "ignore_class": self.ignore_class, "name": self.name}


@keras.saving.register_keras_serializable("kseg")
class KerasLoss(BatchLoss):
    """A loss of Keras, pixel by pixel, with a weight per pixel; void pixels are left out.

    It is called with labels (N, H, W) and scores (N, H, W, K) before softmax, and must give a value for each pixel, as
    SparseCategoricalCrossentropy(from_logits=True) does. Void pixels are given class 0 and weight 0. The result is the
    mean over all other pixels, or with the reduction "sum" their sum.

    Raises:
      ConfigError: the loss does not give a value for each pixel, or applies weights itself, so that kseg's weights
        can't be applied; or it takes probabilities.
    """

    def __init__(self, loss: keras.losses.Loss, ignore_class: int = 255, name: str | None = None) -> None:
        super().__init__(name=name or loss.name, reduction="none")
        self.loss, self.ignore_class = loss, ignore_class
        _check_pixelwise(loss)

    def sums(self, label: Any, scores: Any, weight_map: Any = None) -> list[Any]:
        scores = ops.cast(scores, "float32")
        label, counts, has_strays = _classes(label, scores, self.ignore_class)
        values = ops.cast(self.loss.call(label, scores), "float32")
        total = ops.sum(ops.where(counts > 0, values, 0.0) * _weights(weight_map, counts, scores))
        return [total, ops.where(has_strays, float("nan"), ops.sum(counts))]

    def of_sums(self, sums: Sequence[Any]) -> Any:
        return _mean_or_sum(*sums, is_sum=self.loss.reduction == "sum")

    def get_config(self) -> dict:
        loss = keras.saving.serialize_keras_object(self.loss)
        return {"loss": loss, "ignore_class": self.ignore_class, "name": self.name}

    @classmethod
    def from_config(cls, config: dict) -> KerasLoss:
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})


def _check_pixelwise(loss: keras.losses.Loss) -> None:
    """Checks that a loss of Keras gives a value for each pixel and takes scores before softmax."""
    if type(loss).__call__ is not keras.losses.Loss.__call__:
        raise ConfigError(
            f"loss: {type(loss).__name__} has a __call__ of its own, which may ignore the weights of pixels.",
            "Write its `call`, which gives a value for each pixel, or a kseg.objectives.BatchLoss.",
        )
    try:
        takes_probabilities = loss.get_config().get("from_logits") is False
    except NotImplementedError:
        takes_probabilities = False
    if takes_probabilities:
        raise ConfigError(
            f"loss: {type(loss).__name__} takes probabilities, but networks give scores before softmax.",
            "Pass it from_logits=True.",
        )
    try:
        shape = tuple(loss.call(ops.zeros((1, 2, 3), "int32"), ops.zeros((1, 2, 3, 2))).shape)
    except Exception as error:
        raise ConfigError(
            f"loss: {type(loss).__name__} does not take labels (N, H, W) and scores (N, H, W, K) ({in_a_line(error)})."
        ) from error
    if shape != (1, 2, 3):
        raise ConfigError(
            f"loss: {type(loss).__name__} gives values of the shape {shape} for pixels (1, 2, 3), so that it ignores "
            "the weights of pixels, void among them.",
            "Let it give a value for each pixel, or write a kseg.objectives.BatchLoss.",
        )


LOSSES: Registry[Callable[..., BatchLoss]] = Registry("loss")
LOSSES.register("dice")(Dice)


def names() -> list[str]:
    """The losses that `kseg.train(loss=...)` and the setting `loss.name` take, by name."""
    return LOSSES.names()


@LOSSES.register("cross_entropy")
def cross_entropy(
    *, average: Literal["pixels", "none"] = "pixels", dice: Annotated[float, AtLeast(0)] = 0.0
) -> BatchLoss:
    """Cross-entropy, plus `dice` times the Dice loss.

    Args:
      average: pixels: the mean over all pixels that are not void; none: their sum, as in the FCN authors' release.
      dice: the factor of the Dice loss.

    Raises:
      ConfigError: `dice` is below 0, or is above 0 while `average` is none.
    """
    check_values(cross_entropy, {"dice": dice}, "loss.")
    if dice and average != "pixels":
        raise ConfigError(
            f"loss.average is none and loss.dice is {dice}, but Dice is a mean and can't be added to a sum.",
            *("Pass ", Setting("loss.dice", 0), " or ", Setting("loss.average", "pixels"), "."),
        )
    return CrossEntropyAndDice(dice) if dice else PixelCrossEntropy(average=average)


@keras.saving.register_keras_serializable("kseg")
class MeanIU(keras.metrics.Metric):
    """The mean intersection over union of all pixels seen, from one confusion matrix.

    The mean is over the classes that have true pixels (the FCN paper's rule); void pixels are left out. A label outside
    the classes makes the result NaN. Labels of void and one single class do so, too, as in masks of 0 and 255: a mean
    over one class would be 1 for a network that finds nothing. A warning says so.
    """

    def __init__(self, classes: int, ignore_class: int = 255, name: str = "mean_iu", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.classes, self.ignore_class = classes, ignore_class
        # Rows: the true classes, then a row for labels outside the classes, and one for void. Columns: predicted
        # classes. Integers, since float32 stops counting at 2^24.
        self.matrix = self.add_weight(shape=(classes + 2, classes), initializer="zeros", dtype="int64", name="matrix")

    def reset_state(self) -> None:
        matrix = ops.convert_to_numpy(self.matrix)
        if matrix[-1].sum() and (matrix[:-1].sum(axis=1) > 0).sum() == 1:
            LOG.warning(
                f"MeanIU: the labels hold a single class and {self.ignore_class}, which is void here: nothing else can "
                f"be learned from them. If {self.ignore_class} is the object, make it 1 in the labels."
            )
        super().reset_state()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        check_scores(y_pred, self.classes)
        label = centre(_whole(y_true), y_pred)
        prediction = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        row = ops.where((label >= 0) & (label < self.classes), label, self.classes)
        row = ops.where(label == self.ignore_class, self.classes + 1, row)
        cell = ops.reshape(row * self.classes + prediction, (-1,))
        # A histogram. TensorFlow refuses ops.bincount on a GPU where a training must be deterministic.
        counts = ops.segment_sum(ops.ones_like(cell), cell, num_segments=(self.classes + 2) * self.classes)
        self.matrix.assign_add(ops.reshape(ops.cast(counts, "int64"), (self.classes + 2, self.classes)))

    def result(self) -> Any:
        matrix = ops.cast(self.matrix[: self.classes], "float64")
        strays, void = ops.sum(self.matrix[self.classes]), ops.sum(self.matrix[self.classes + 1])
        found = ops.diagonal(matrix)
        truth = ops.sum(matrix, axis=1)
        total = ops.sum(_ratio(found, ops.where(truth > 0, truth + ops.sum(matrix, axis=0) - found, 0.0), 0.0))
        count = ops.sum(ops.cast(truth > 0, "float64"))
        valid = (strays == 0) & ((count > 1) | (count == 1) & (void == 0))
        return ops.where(valid, total / ops.where(valid, count, 1.0), float("nan"))

    def get_config(self) -> dict:
        return {**super().get_config(), "classes": self.classes, "ignore_class": self.ignore_class}
