"""VGG16 as others have it, slim: keras.applications' network, its HDF5 file, PyTorch's files."""

import struct
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers

import kseg

SLIM = {"width": 1 / 16, "fc_width": 12, "classes": 7}
TORCHVISION = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
NAMES = {
    "keras": [f"block{b}_conv{n}" for b, c in enumerate((2, 2, 3, 3, 3), 1) for n in range(1, c + 1)]
    + ["fc1", "fc2", "predictions"],
    "kseg": [f"conv{b}_{n}" for b, c in enumerate((2, 2, 3, 3, 3), 1) for n in range(1, c + 1)] + ["fc6", "fc7", "fc8"],
    "torchvision": [f"features.{place}" for place in TORCHVISION] + [f"classifier.{place}" for place in (0, 3, 6)],
}


def keras_vgg16(seed: int = 0) -> keras.Model:
    """keras.applications' VGG16 at a sixteenth of its width, without the softmax; every weight random."""
    x = image = layers.Input((224, 224, 3))
    names = iter(NAMES["keras"])
    for count, channels in ((2, 4), (2, 8), (3, 16), (3, 32), (3, 32)):
        for _ in range(count):
            x = layers.Conv2D(channels, 3, padding="same", activation="relu", name=next(names))(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(12, activation="relu", name="fc1")(x)
    x = layers.Dense(12, activation="relu", name="fc2")(x)
    model = keras.Model(image, layers.Dense(7, name="predictions")(x))
    randomise(model, seed)
    return model


def randomise(model: keras.Model, seed: int = 0) -> None:
    """Kernels that keep the size of what goes through, and biases that are not zero."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            rng.normal(0, np.sqrt(2 / np.prod(w.shape[:-1])) if len(w.shape) > 1 else 0.1, w.shape).astype(np.float32)
            for w in model.weights
        ]
    )


def fresh(name: str = "vgg16", **options) -> keras.Model:
    """kseg's network, slim."""
    return kseg.build(name, **{**SLIM, **options})


def images(count: int = 1, size: int = 224) -> np.ndarray:
    """Noise, (count, size, size, 3), 0 to 255."""
    return np.random.default_rng(1).uniform(0, 255, (count, size, size, 3)).astype(np.float32)


def arrays(model: keras.Model) -> dict[str, list[np.ndarray]]:
    """Kernel and bias by layer name, as Keras has them."""
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def write_keras(
    path: Path, model: keras.Model, *, top: bool = True, ending: str = "_1:0", deeper: bool = False
) -> Path:
    """keras.applications' file: `block1_conv1/block1_conv1_W_1:0`, or as later versions of Keras name it."""
    with h5py.File(path, "w") as file:
        for name, (kernel, bias) in arrays(model).items():
            if top or name.startswith("block"):
                group = file.create_group(f"{name}/{name}" if deeper else name)
                first, second = ("kernel", "bias") if deeper else (f"{name}_W", f"{name}_b")
                group[second + ending] = bias
                group[first + ending] = kernel
    return path


def as_torch(model: keras.Model, names: list[str]) -> dict[str, np.ndarray]:
    """The weights in PyTorch's layout: (out, in, rows, columns), (out, in) of a map flattened as (C, H, W)."""
    found = {}
    for name, (kernel, bias) in zip(names, arrays(model).values(), strict=True):
        if kernel.ndim == 2 and kernel.shape[0] > 12:
            kernel = kernel.reshape(7, 7, -1, kernel.shape[1]).transpose(2, 0, 1, 3).reshape(kernel.shape)
        found[f"{name}.weight"] = kernel.T if kernel.ndim == 2 else kernel.transpose(3, 2, 0, 1)
        found[f"{name}.bias"] = bias
    return found


def pickled(state: dict[str, np.ndarray], *, before: bytes = b"") -> bytes:
    """A state dict as torch.save pickles it, all float32, a storage per tensor; `before` are further instructions."""
    out = b"\x80\x02" + before + b"ccollections\nOrderedDict\n)R("
    for key, array in enumerate(state.values()):
        strides = [int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim)]
        out += _text(list(state)[key]) + b"ctorch._utils\n_rebuild_tensor_v2\n(("
        out += _text("storage") + b"ctorch\nFloatStorage\n" + _text(str(key)) + _text("cpu") + _number(array.size)
        out += b"tQ" + _number(0) + b"(" + b"".join(map(_number, array.shape)) + b"t("
        out += b"".join(map(_number, strides)) + b"t\x89ccollections\nOrderedDict\n)RtR"
    return out + b"u."


def write_torch(path: Path, state: dict[str, np.ndarray], content: bytes | None = None, **more: bytes) -> Path:
    """A zip archive as torch.save writes it; `content` in place of the pickle, `more` entries beside it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(state) if content is None else content)
        for key, array in enumerate(state.values()):
            archive.writestr(f"archive/data/{key}", np.ascontiguousarray(array, "<f4").tobytes())
        for name, data in more.items():
            archive.writestr(f"archive/{name}", data)
    return path


def write_old_torch(path: Path, state: dict[str, np.ndarray]) -> Path:
    """The stream that PyTorch wrote before 1.6."""
    keys = b"\x80\x02](" + b"".join(_text(str(key)) for key in range(len(state))) + b"e."
    head = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}(" + _text("little_endian") + b"\x88u."
    numbers = b"".join(struct.pack("<q", a.size) + np.ascontiguousarray(a, "<f4").tobytes() for a in state.values())
    path.write_bytes(head + pickled(state) + keys + numbers)
    return path


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _number(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)
