"""What holds for every registered data set."""

import operator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from dataset_case import DATASET_CASES

from kseg import datasets
from kseg.datasets import DATASETS
from kseg.datasets.contract import by_name
from kseg.errors import ConfigError, DataError
from kseg.overlap import ahead
from kseg.pipeline import batches

every_name = pytest.mark.parametrize("name", DATASETS.names())


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """The tree of each set in a folder of its own, written once."""
    written: dict[str, Path] = {}

    def tree(name: str) -> Path:
        if name not in written:
            written[name] = tmp_path_factory.mktemp(name) / "root"
            DATASET_CASES[name].write(written[name])
        return written[name]

    return tree


def opened(name: str, folder: Path, split: str) -> datasets.Dataset:
    return datasets.open(name, folder, split=split, **DATASET_CASES[name].options)


def test_every_data_set_has_a_case():
    assert set(DATASETS.names()) == set(DATASET_CASES)


@every_name
def test_splits_have_their_counts_and_unique_names(name, trees):
    case = DATASET_CASES[name]
    for split, count in case.counts.items():
        data = opened(name, trees(name), split)
        assert len(data) == len(data.ids) == len(set(data.ids)) == count
        assert (data.name, data.split, set(data.splits)) == (name, split, set(case.counts))
        assert data.ignore_class == 255
        assert all(2 <= len(classes) == len(set(classes)) for classes in data.heads.values())
        assert all(Path(item_id).name == item_id for item_id in data.ids)


@every_name
def test_splits_that_are_to_be_apart_share_no_picture(name, trees):
    pictures = [
        next(iter(item.images.values())).tobytes()
        for split in DATASET_CASES[name].apart
        for item in opened(name, trees(name), split)
    ]
    assert len(pictures) == len(set(pictures)) > 1


@every_name
def test_items_are_what_the_contract_says(name, trees):
    case = DATASET_CASES[name]
    seen: dict[str, set[int]] = {}
    for split in case.counts:
        data = opened(name, trees(name), split)
        for place, item in enumerate(data):
            assert item.id == data.ids[place] and item.weight >= 0 and item.labels.keys() == data.heads.keys()
            for image in item.images.values():
                assert image.shape == case.size and image.dtype in (np.uint8, np.uint16, np.float32)
            for head, label in item.labels.items():
                assert label.shape == case.size[:2] and label.dtype == np.int32
                seen.setdefault(head, set()).update(np.unique(label).tolist())
            assert (item.instances is not None) == data.has_instances
            if item.instances is not None:
                assert item.instances.shape == case.size[:2] and np.issubdtype(item.instances.dtype, np.integer)
                known = item.label != 255
                np.testing.assert_array_equal(item.instances[known] > 0, item.label[known] > 0)
                assert item.instances.max() >= 2
    for head, classes in data.heads.items():
        assert seen[head] - {255} == set(range(len(classes)))
        scored = data.scored_classes if head == "" else data.scored_classes[head]
        assert scored is None or set(scored) <= set(range(len(classes)))


PHOTOGRAPHS = {"voc2011", "voc2012", "sbd", "voc-fcn", "voc-aug", "pascal-context", "nyudv2", "siftflow", "camvid"}


@every_name
def test_photographs_have_an_up_and_every_class_a_colour_of_its_own(name, trees):
    data = opened(name, trees(name), DATASET_CASES[name].apart[0])
    assert data.upright == (name in PHOTOGRAPHS)
    for head, colours in by_name(data.colours).items():
        if colours is not None:
            assert np.shape(colours) == (len(data.heads[head]), 3) and len(set(map(tuple, colours))) == len(colours)
            assert np.min(colours) >= 0 and np.max(colours) <= 255


@every_name
def test_items_are_counted_from_either_end_and_no_further(name, trees):
    data = opened(name, trees(name), DATASET_CASES[name].apart[0])
    assert data[-1].id == data.ids[-1] and data[-len(data)].id == data.ids[0]
    for index in (len(data), -len(data) - 1):
        with pytest.raises(IndexError):
            data[index]


@every_name
def test_the_folder_around_it_or_one_within_will_do(name, trees):
    root = trees(name)
    split = DATASET_CASES[name].apart[0]
    expected = opened(name, root, split)
    for folder in (root.parent, str(root), *(path for path in root.iterdir() if path.is_dir())):
        data = opened(name, folder, split)
        assert data.ids == expected.ids
        for stream, image in expected[0].images.items():
            np.testing.assert_array_equal(data[0].images[stream], image)


@every_name
def test_a_folder_without_it_is_told_what_was_looked_for(name, tmp_path):
    (tmp_path / "a" / "wrong").mkdir(parents=True)
    (tmp_path / "a" / "thesis.doc").touch()
    case = DATASET_CASES[name]
    with pytest.raises(DataError) as caught:
        opened(name, tmp_path / "a", case.apart[0])
    message = str(caught.value)
    assert message.startswith(f"{name}: {tmp_path / 'a'} does not hold it") and case.looked_for in message
    assert "found thesis.doc, wrong" in message
    if not case.generated:
        with pytest.raises(DataError, match=rf"{name}: where is it\? Pass data_dir=..., .*{case.looked_for}"):
            opened(name, None, case.apart[0])
        with pytest.raises(DataError, match=f"{name}: there is no folder .*nowhere"):
            opened(name, tmp_path / "nowhere", case.apart[0])


@every_name
def test_unknown_splits_and_options_are_refused_with_those_there_are(name, trees):
    case = DATASET_CASES[name]
    with pytest.raises(DataError, match=f"{name}: there is no split 'trian'. .*Known: .*{case.apart[0]}"):
        opened(name, trees(name), "trian")
    with pytest.raises(ConfigError, match=f"The data set '{name}' takes no option 'colour'. (It takes none|.*Known: )"):
        datasets.open(name, trees(name), split=case.apart[0], colour=1)


@pytest.fixture(scope="module")
def worker():
    """A process that was started anew and has nothing of this one."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


@every_name
def test_a_data_set_travels_to_a_worker_that_reads_the_same(name, trees, worker):
    data = opened(name, trees(name), DATASET_CASES[name].apart[0])
    item = worker.submit(operator.itemgetter(len(data) - 1), data).result()
    expected = data[len(data) - 1]
    assert (item.id, item.weight) == (expected.id, expected.weight)
    for found, known in ((item.images, expected.images), (item.labels, expected.labels)):
        assert found.keys() == known.keys()
        for part, array in known.items():
            np.testing.assert_array_equal(found[part], array, strict=True)


@every_name
def test_a_thread_reads_the_same_ahead_of_its_use(name, trees):
    data = opened(name, trees(name), DATASET_CASES[name].apart[0])
    for index, item in enumerate(ahead((data[number] for number in range(len(data))), count=2)):
        expected = data[index]  # while the thread reads the next one
        assert (item.id, item.weight) == (expected.id, expected.weight)
        for found, known in ((item.images, expected.images), (item.labels, expected.labels)):
            for part, array in known.items():
                np.testing.assert_array_equal(found[part], array, strict=True)


@every_name
def test_batches_are_of_the_element_spec_that_the_set_promises(name, trees):
    case = DATASET_CASES[name]
    data = opened(name, trees(name), case.apart[0])
    chain = batches(data, size=2, crop=(8, 10), steps=1)
    image, label, *weight_map = chain.element_spec
    streams, heads = by_name(image), by_name(label)
    assert streams.keys() == data[0].images.keys() and heads.keys() == data.heads.keys()
    assert bool(weight_map) == data.has_weights
    for spec in streams.values():
        assert spec == tf.TensorSpec((2, 8, 10, case.size[2]), tf.float32)
    for spec, kind in [*((spec, tf.int32) for spec in heads.values()), *((spec, tf.float32) for spec in weight_map)]:
        assert spec == tf.TensorSpec((2, 8, 10), kind)
    (batch,) = chain
    assert tf.nest.map_structure(tf.TensorSpec.from_tensor, batch) == chain.element_spec


@every_name
def test_a_survey_counts_every_pixel_that_is_not_void(name, trees):
    case = DATASET_CASES[name]
    data = opened(name, trees(name), case.apart[0])
    found = datasets.survey(data)
    assert found.images == len(data)
    for head, pixels in by_name(found.class_pixels).items():
        known = sum(int((item.labels[head] != 255).sum()) for item in data)
        assert pixels.sum() == known and (pixels > 0).all()
    assert (found.heights, found.widths) == ((case.size[0],) * 2, (case.size[1],) * 2)


def test_an_unknown_data_set_gets_the_nearest_name():
    with pytest.raises(ConfigError, match="There is no data set 'isbi'. Did you mean 'isbi2012'"):
        datasets.open("isbi", split="train")
