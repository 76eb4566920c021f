"""One entry per registered data set: a function that writes a small tree in its true layout, and what that holds."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import scipy.io
import scipy.sparse
import tifffile
from PIL import Image

from kseg import datasets
from kseg.datasets.demo import write_demo
from kseg.datasets.published.pascal_context import LABELS
from kseg.images import write_image
from kseg.pictures import palette
from kseg.pipeline.shards import pack


class DatasetCase(NamedTuple):
    """What to expect.

    Attributes:
      write: writes the tree to a new folder.
      counts: the splits and how many items each has.
      apart: splits that share no item.
      size: (H, W, C) of every image.
      looked_for: what the message names when the folder does not hold the set.
      options: given to `kseg.datasets.open`.
      generated: the set needs no folder.
    """

    write: Callable[[Path], None]
    counts: dict[str, int]
    apart: tuple[str, ...]
    size: tuple[int, int, int]
    looked_for: str
    options: dict[str, Any] = {}
    generated: bool = False


def blobs(height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A grey picture (H, W) uint8 and its two objects (H, W) uint8: 1 on the left, 2 on the right."""
    numbers = np.zeros((height, width), np.uint8)
    numbers[2:-2, 2 : width // 2] = 1
    numbers[3:-3, width // 2 + 1 : -2] = 2
    noise = np.random.default_rng(seed).integers(0, 60, numbers.shape)
    return (90 * (numbers > 0) + noise).astype(np.uint8), numbers


def write_folder(root: Path) -> None:
    for split, numbers in (("train", range(4)), ("val", range(4, 6)), ("test", range(6, 9))):
        for number in numbers:
            image, label = blobs(14, 18, number)
            for kind, array in (("images", np.stack([image] * 3, axis=2)), ("labels", label)):
                (root / split / kind).mkdir(parents=True, exist_ok=True)
                write_image(root / split / kind / f"{split}{number}.png", array)


def write_isbi2012(root: Path) -> None:
    root.mkdir()
    slices = [blobs(16, 20, number) for number in range(30)]
    for name, place in (("train-volume.tif", 0), ("train-labels.tif", 1)):
        stack = np.stack([(one[place] > 0) * np.uint8(255) if place else one[place] for one in slices])
        tifffile.imwrite(root / name, stack, photometric="minisblack", metadata=None)


def write_ctc(root: Path) -> None:
    for sequence in ("01", "02"):
        for number in range(5):
            image, cells = blobs(16, 20, 10 * int(sequence) + number)
            places = {f"{sequence}/t{number:03d}.tif": image}
            if number != 2:  # not every frame is segmented
                places[f"{sequence}_GT/SEG/man_seg{number:03d}.tif"] = cells.astype(np.uint16)
            places[f"{sequence}_GT/TRA/man_track{number:03d}.tif"] = cells.astype(np.uint16)
            for name, array in places.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                tifffile.imwrite(root / name, array)


def classes_of(height: int, width: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A colour picture (H, W, 3) uint8 and its label (H, W) uint8 in which all classes occur, in turn."""
    label = (np.arange(height * width).reshape(height, width) + seed) % classes
    noise = np.random.default_rng(seed).integers(0, 60, (height, width, 3))
    return (3 * label[..., None] + noise).astype(np.uint8), label.astype(np.uint8)


def put(path: Path, array: np.ndarray) -> None:
    """Writes an image, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, array)


def put_text(path: Path, *lines: str, end: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(end.join(lines).encode())


def put_mat(path: Path, **variables: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, variables)


def put_mask(path: Path, label: np.ndarray) -> None:
    """Writes (H, W) uint8 as VOC's masks are: a palette, whose colours are not the numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(label, "P")
    picture.putpalette(palette().ravel().tolist())
    picture.save(path)


def write_camvid(root: Path) -> None:
    for split, numbers in (("train", range(4)), ("val", range(4, 6)), ("test", range(6, 9))):
        for number in numbers:
            image, label = classes_of(14, 18, 12, number)  # 11 is void
            put(root / split / f"0001TP_{number}.png", image)
            put(root / f"{split}annot" / f"0001TP_{number}.png", label)


def voc_ids(year: int) -> dict[str, list[str]]:
    """Made-up ids, and two of each year's val that are among the paper's 736."""
    return {
        "train": [f"{year}_00000{number}" for number in range(3)],
        "val": ["2007_000129", "2007_006449", f"{year}_000009"],
    }


def write_kit(kit: Path, year: int, size: tuple[int, int] = (14, 18)) -> None:
    parts = voc_ids(year)
    for number, one in enumerate(parts["train"] + parts["val"]):
        image, label = classes_of(*size, 22, number + year)
        put(kit / "JPEGImages" / f"{one}.jpg", image)
        put_mask(kit / "SegmentationClass" / f"{one}.png", np.where(label == 21, 255, label).astype(np.uint8))
    for split, ids in {**parts, "trainval": parts["train"] + parts["val"]}.items():
        put_text(kit / "ImageSets" / "Segmentation" / f"{split}.txt", *ids, end="\r\n")


def write_sbd(root: Path, train: Sequence[str] = ("2008_1", "2008_2"), val: Sequence[str] = ("2008_3",)) -> None:
    folder = root / "benchmark_RELEASE" / "dataset"
    for number, one in enumerate([*train, *val]):
        image, label = classes_of(14, 18, 21, 50 + number)
        put(folder / "img" / f"{one}.jpg", image)
        boundaries = np.empty((20, 1), object)
        for place in range(20):
            boundaries[place, 0] = scipy.sparse.csc_matrix(label == place + 1)
        members = {"Boundaries": boundaries, "Segmentation": label, "CategoriesPresent": np.arange(1, 21)[:, None]}
        put_mat(folder / "cls" / f"{one}.mat", GTcls=members)
    put_text(folder / "train.txt", *train)
    put_text(folder / "val.txt", *val)
    (root / "benchmark_RELEASE" / "benchmark_code_RELEASE" / "demo" / "cls").mkdir(parents=True)


def write_voc_fcn(root: Path) -> None:
    write_kit(root / "TrainVal" / "VOCdevkit" / "VOC2011", 2011)
    write_sbd(root, train=["2011_000000", "2011_000009"], val=["2008_3"])


def write_voc_aug(root: Path) -> None:
    write_kit(root / "VOCdevkit" / "VOC2012", 2012)
    write_sbd(root, train=["2012_000000", "2012_000009", "2008_2"], val=["2008_3", "2007_000129"])


def write_pascal_context(root: Path) -> None:
    labels = np.array([431, *LABELS.values()])
    kit = root / "VOCdevkit" / "VOC2010"
    for split, ids in (("train", ["2008_000001", "2010_000002"]), ("val", ["2009_000003"])):
        for one in ids:
            image, label = classes_of(14, 18, 60, int(one[-1]))
            put(kit / "JPEGImages" / f"{one}.jpg", image)
            put_mat(root / "trainval" / f"{one}.mat", LabelMap=labels[label].astype(np.uint16))
        put_text(kit / "ImageSets" / "Main" / f"{split}.txt", *ids)


def write_siftflow(root: Path) -> None:
    scenes = "spatial_envelope_256x256_static_8outdoorcategories"
    lists = {
        "TrainSet1": ["coast_arnat1", "street_bost2", "mountain_land3"],
        "TestSet1": ["forest_nat4", "highway_gre5"],
    }
    for number, one in enumerate(lists["TrainSet1"] + lists["TestSet1"]):
        image, label = classes_of(16, 20, 34, number)
        put(root / "Images" / scenes / f"{one}.jpg", image)
        put_mat(root / "SemanticLabels" / scenes / f"{one}.mat", S=label.astype(np.float64))
        geometric = np.where(label % 4 == 0, -1, label.astype(np.int16) % 4)
        put_mat(root / "GeoLabels" / scenes / f"{one}.mat", S=geometric)
    lists["TrainSet1"].append("street_urb506")  # which nobody labelled
    for name, ids in lists.items():
        put_text(root / f"{name}.txt", *(f"{scenes}\\{one}.jpg" for one in ids), end="\r\n")


def write_nyudv2(root: Path, frames: Sequence[int] = (1, 3, 4, 10, 11)) -> None:
    """`frames` of the file as published, each of the size of all; 1 is of test, 10 and 11 are of val."""
    mapping = np.arange(894) % 40 + 1
    root.mkdir()
    put_mat(root / "classMapping40.mat", mapClass=mapping[None].astype(np.uint8))
    test, train = [[one] for one in frames if one in (1, 2)], [[one] for one in frames if one > 2]
    put_mat(root / "splits.mat", trainNdxs=np.array(train, np.uint16), testNdxs=np.array(test, np.uint16))
    count = max(frames)
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        options: dict[str, Any] = {"compression": "gzip", "compression_opts": 1}
        file.create_dataset("images", (count, 3, 640, 480), "u1", chunks=(1, 3, 640, 480), **options)
        for name, kind in (("depths", "f4"), ("rawDepths", "f4"), ("labels", "u2")):
            file.create_dataset(name, (count, 640, 480), kind, chunks=(1, 640, 480), **options)
        for frame in frames:
            image, label = classes_of(480, 640, 41, frame)
            raw = np.linspace(4, 1, 480)[:, None] + np.zeros(640)
            raw[100:110, 50 : 60 + frame] = 0
            stored = np.where(label > 0, label.astype(np.uint16) + 40 * (frame % 20), 0)
            arrays = {"images": image, "depths": np.where(raw == 0, 3.0, raw), "rawDepths": raw, "labels": stored}
            for name, array in arrays.items():
                file[name][frame - 1] = array.T


def write_list(root: Path) -> None:
    rows = ["\ufeffimage, label, split, weight"]
    for number in range(6):
        image, label = blobs(14, 18, number)
        put(root / f"scan{number}" / "image.png", image)
        put(root / "drawn" / f"{number}.png", label)
        rows.append(
            f"scan{number}/image.png, drawn/{number}.png, {'held out' if number > 3 else 'train'}, {number / 2}"
        )
    put_text(root / "list.csv", *rows, "")


def write_packed(root: Path) -> None:
    with tempfile.TemporaryDirectory() as source:
        write_folder(Path(source) / "folder")
        for split in ("train", "val", "test"):
            pack(datasets.open("folder", Path(source) / "folder", split=split), str(root), shards=2)


DATASET_CASES = {
    "camvid": DatasetCase(
        write_camvid, {"train": 4, "val": 2, "test": 3}, ("train", "val", "test"), (14, 18, 3), "trainannot"
    ),
    "ctc": DatasetCase(
        write_ctc, {"train": 6, "val": 2, "all": 8, "01": 4, "02": 4}, ("train", "val"), (16, 20, 1), "01_GT/SEG"
    ),
    "demo": DatasetCase(
        write_demo, {"train": 24, "val": 8, "all": 32}, ("train", "val"), (192, 192, 1), "train/images", generated=True
    ),
    "folder": DatasetCase(
        write_folder, {"train": 4, "val": 2, "test": 3, "all": 9}, ("train", "val", "test"), (14, 18, 3), "images"
    ),
    "isbi2012": DatasetCase(
        write_isbi2012,
        {"train": 21, "val": 3, "test": 6, "all": 30},
        ("train", "val", "test"),
        (16, 20, 1),
        "train-volume.tif",
    ),
    "list": DatasetCase(
        write_list, {"train": 4, "held out": 2, "all": 6}, ("train", "held out"), (14, 18, 1), "list.csv"
    ),
    "nyudv2": DatasetCase(
        write_nyudv2,
        {"train": 2, "val": 2, "trainval": 4, "test": 1},
        ("train", "val", "test"),
        (425, 560, 3),
        "nyu_depth_v2_labeled.mat",
        {"view": "rgb-hha"},
    ),
    "packed": DatasetCase(
        write_packed, {"train": 4, "val": 2, "test": 3}, ("train", "val", "test"), (14, 18, 3), "index.json"
    ),
    "pascal-context": DatasetCase(
        write_pascal_context, {"train": 2, "val": 1}, ("train", "val"), (14, 18, 3), "trainval"
    ),
    "sbd": DatasetCase(write_sbd, {"train": 2, "val": 1}, ("train", "val"), (14, 18, 3), "dataset/cls"),
    "siftflow": DatasetCase(
        write_siftflow, {"trainval": 3, "test": 2}, ("trainval", "test"), (16, 20, 3), "SemanticLabels"
    ),
    "voc-aug": DatasetCase(
        write_voc_aug, {"train": 5, "val": 3}, ("train", "val"), (14, 18, 3), "VOC2012/ImageSets/Segmentation"
    ),
    "voc-fcn": DatasetCase(
        write_voc_fcn, {"train": 2, "val": 2}, ("train", "val"), (14, 18, 3), "VOC2011/ImageSets/Segmentation"
    ),
    "voc2011": DatasetCase(
        lambda root: write_kit(root / "TrainVal" / "VOCdevkit" / "VOC2011", 2011),
        {"train": 3, "val": 3, "trainval": 6, "seg11valid": 2},
        ("train", "val"),
        (14, 18, 3),
        "TrainVal/VOCdevkit/VOC2011/ImageSets/Segmentation",
    ),
    "voc2012": DatasetCase(
        lambda root: write_kit(root / "VOC2012", 2012),
        {"train": 3, "val": 3, "trainval": 6},
        ("train", "val"),
        (14, 18, 3),
        "VOCdevkit/VOC2012/ImageSets/Segmentation",
    ),
}
