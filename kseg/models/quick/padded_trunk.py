"""The convolutions behind a wide padding, computed only where they see the image.

FCN's first convolution pads by 100. Of the 181 G multiplications at 500 x 500 pixels 31 % fall on cells that do not see
the image. These cells depend on the weights alone: near the frame of the padded map on their distance from it, and
everywhere else they are equal. So they are computed once, on a small map of zeros (`blank`), and put around the cells
that see the image. The numbers are those of the whole map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

Call = Callable[..., Any]  # as `call_layer`
Readers = Mapping[int, Sequence[keras.Layer | None]]  # by a tensor's id; None stands for an output of the network
Size = tuple[Any, Any]  # height and width: numbers, or tensors where they are unknown


@dataclass(frozen=True)
class Level:
    """Convolutions of one resolution and the pooling behind them."""

    convolutions: tuple[layers.Conv2D, ...]
    pool: layers.MaxPooling2D


@dataclass(frozen=True)
class PaddedTrunk:
    """The layers from a wide padding to the last pooling that is computed in parts.

    Attributes:
      padding: the layer that pads.
      levels: the convolutions and poolings behind it.
      blank: height and width of the padded map of zeros, but for what that of an image has modulo the last cell.
      read: the names of the poolings that layers behind the trunk read.
    """

    padding: layers.ZeroPadding2D
    levels: tuple[Level, ...]
    blank: int
    read: frozenset[str]

    def __call__(self, image: Any, call: Call) -> dict[str, Any]:
        """The whole maps of the poolings that layers behind the trunk read, by the pooling's name.

        Args:
          image: what the padding gets, (N, H, W, C).
          call: calls a layer.
        """
        pad, channels = self.padding.padding[0][0], image.shape[-1]
        whole = tuple(length + 2 * pad for length in ops.shape(image)[1:3])
        sides = [self.blank + length % 2 ** len(self.levels) for length in whole]
        part = _Part(image, ops.zeros((1, *sides, channels), image.dtype), pad, whole)
        maps = {}
        for level in self.levels:
            part = part.behind(level, call)
            if level.pool.name in self.read:
                maps[level.pool.name] = part.completed()
        return maps

    @property
    def layers(self) -> list[keras.Layer]:
        """All layers, in order."""
        return [self.padding, *(layer for level in self.levels for layer in (*level.convolutions, level.pool))]


@dataclass(frozen=True)
class _Part:
    """The cells of a padded map that see the image.

    Attributes:
      cells: (N, h, w, C).
      blank: (1, h', w', C), the same map of an image of zeros, small.
      start: the first row and column of `cells`.
      whole: the size of the padded map.
    """

    cells: Any
    blank: Any
    start: int
    whole: Size

    def behind(self, level: Level, call: Call) -> _Part:
        """The cells behind a level's pooling."""
        height, width = ops.shape(self.cells)[1:3]
        start, first, *_ = _reach(level, self.start, 0)
        stops = [_reach(level, 0, self.start + length)[2:] for length in (height, width)]
        cells = self._widened(first, [stop for _, stop in stops])
        blank, whole = self.blank, self.whole
        for layer in level.convolutions:
            cells = call(layer, cells, padding="valid")
            blank = call(layer, blank)
            whole = tuple(length - _lost(layer) for length in whole)
        whole = tuple((length + 1) // 2 for length in whole)
        return _Part(call(level.pool, cells), call(level.pool, blank), start, whole)

    def completed(self) -> Any:
        """The whole map, (N, H, W, C)."""
        return self._widened(0, self.whole)

    def _widened(self, first: int, stops: Sequence[Any]) -> Any:
        """The rows and columns from `first` to `stops`, which hold all of `cells`."""
        images, height, width, channels = ops.shape(self.cells)
        rows, columns = (self._index(first, stop, axis) for axis, stop in enumerate(stops))
        skip = self.start - first

        def around(rows: Any, columns: Any) -> Any:
            part = ops.take(ops.take(self.blank, rows, axis=1), columns, axis=2)
            return ops.broadcast_to(part, (images, *ops.shape(part)[1:3], channels))

        beside = rows[skip : skip + height]
        left, right = around(beside, columns[:skip]), around(beside, columns[skip + width :])
        middle = ops.concatenate([left, self.cells, right], axis=2)
        return ops.concatenate([around(rows[:skip], columns), middle, around(rows[skip + height :], columns)], axis=1)

    def _index(self, first: int, stop: Any, axis: int) -> Any:
        """Where the values of the rows or columns from `first` to `stop` stand in `blank`."""
        surplus = self.whole[axis] - ops.shape(self.blank)[1 + axis]
        index = ops.arange(first, stop)
        # Those near the first frame stand at the same place, those near the other one at the same distance from it.
        return ops.minimum(index, ops.maximum((ops.shape(self.blank)[1 + axis] - 1) // 2, index - surplus))


def padded_trunks(model: keras.Model, readers: Readers) -> list[PaddedTrunk]:
    """The layers of a network that are computed in parts: those behind each wide padding, if there are any."""
    trunks = []
    for layer in model.layers:
        if isinstance(layer, layers.ZeroPadding2D) and len(set(sum(layer.padding, ()))) == 1:
            levels, pad = list(_levels(layer, readers)), layer.padding[0][0]
            while levels and not (blank := _size_of_blank(pad, levels)):
                levels.pop()
            if levels:
                own = {each for level in levels for each in level.convolutions}
                read = {level.pool.name for level in levels if set(readers[id(level.pool.output)]) - own}
                trunks.append(PaddedTrunk(layer, tuple(levels), blank, frozenset(read)))
    return trunks


def _levels(padding: keras.Layer, readers: Readers) -> Iterable[Level]:
    """The levels behind a padding, as long as nothing else reads the maps within one."""
    convolutions: list[layers.Conv2D] = []
    tensor = padding.output
    while True:
        found = readers[id(tensor)]
        following = [reader for reader in found if reader and _is_plain(reader)]
        if len(following) != 1 or ((convolutions or tensor is padding.output) and len(found) > 1):
            return
        (layer,) = following
        tensor = layer.output
        if isinstance(layer, layers.Conv2D):
            convolutions.append(layer)
        elif convolutions:
            yield Level(tuple(convolutions), layer)
            convolutions = []
        else:
            return


def _is_plain(layer: keras.Layer) -> bool:
    """Whether a layer is a 3x3 convolution as VGG16 has them, or its pooling."""
    if type(layer) is layers.MaxPooling2D:
        return (layer.pool_size, layer.strides, layer.padding) == ((2, 2), (2, 2), "same")
    if type(layer) is not layers.Conv2D or layer.groups > 1:
        return False
    return (layer.kernel_size, layer.strides, layer.dilation_rate) == ((3, 3), (1, 1), (1, 1))


def _lost(layer: layers.Conv2D) -> int:
    """Cells that a convolution's map has less than its input along an axis."""
    return 0 if layer.padding == "same" else 2


def _reach(level: Level, start: Any, stop: Any) -> tuple[Any, Any, Any, Any]:
    """Which cells behind a level see the cells from `start` to `stop` before it, and what these need.

    Returns:
      the first cell behind the pooling, the first cell before the level that it needs; the end of both.
    """
    for layer in level.convolutions:
        shift = _lost(layer)
        start, stop = start - shift // 2 - 1, stop - shift // 2 + 1
    start, stop = start // 2, (stop + 1) // 2
    first, last = 2 * start, 2 * stop
    for layer in reversed(level.convolutions):
        shift = _lost(layer)
        first, last = first + shift // 2 - 1, last + shift // 2 + 1
    return start, first, stop, last


def _size_of_blank(pad: int, levels: Sequence[Level]) -> int:
    """The least side of the map of zeros, a multiple of the levels' step; 0 if they can't be computed in parts.

    They can't if a part reaches beyond the padded map, where a convolution reads zeros and not a map's values.
    """
    step = 2 ** len(levels)
    for side in range(1, step + 1):
        start, stop, length = pad, pad + side, 2 * pad + side
        for level, (_, _, behind) in zip(levels, _frames(length, levels), strict=True):
            start, first, stop, last = _reach(level, start, stop)
            if first < 0 or last > length:
                return 0
            length = behind
    for blank in range(step, 2 * pad, step):
        frames = [frame for side in range(blank, blank + step) for frame in _frames(side, levels)]
        if all(near <= (length - 1) // 2 < length - far for near, far, length in frames):
            return blank
    return 0


def _frames(length: int, levels: Sequence[Level]) -> list[tuple[int, int, int]]:
    """How many cells at the start and at the end of the map behind each level see the frame, and the map's length."""
    near = far = 0
    found = []
    for level in levels:
        for layer in level.convolutions:
            if layer.padding == "same":
                near, far = near + 1, far + 1
            length -= _lost(layer)
        near, far = (near + 1) // 2, (length + 1) // 2 - (length - far) // 2
        length = (length + 1) // 2
        found.append((near, far, length))
    return found


def call_layer(layer: keras.Layer, inputs: Any, padding: str | None = None, *, training: bool = False) -> Any:
    """What a layer gives; a convolution has another padding than its own if that is given."""
    if padding is None:
        return layer(inputs, training=training)
    kind = layer.compute_dtype
    kernel = ops.cast(layer.kernel, kind)
    found = ops.conv(ops.cast(inputs, kind), kernel, padding=padding, data_format="channels_last")
    if layer.use_bias:
        found = ops.add(found, ops.reshape(ops.cast(layer.bias, kind), (1, 1, 1, layer.filters)))
    return layer.activation(found)
