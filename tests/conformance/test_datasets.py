"""What holds for every registered data set."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from dataset_case import DATASET_CASES

from kseg import datasets
from kseg.datasets import DATASETS
from kseg.errors import ConfigError, DataError

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
        assert data.ignore_class == 255 and 2 <= len(data.classes) == len(set(data.classes))
        assert all(Path(item_id).name == item_id for item_id in data.ids)


@every_name
def test_splits_that_are_to_be_apart_share_no_picture(name, trees):
    pictures = [
        item.image.tobytes() for split in DATASET_CASES[name].apart for item in opened(name, trees(name), split)
    ]
    assert len(pictures) == len(set(pictures)) > 1


@every_name
def test_items_are_what_the_contract_says(name, trees):
    case = DATASET_CASES[name]
    seen = set()
    for split in case.counts:
        data = opened(name, trees(name), split)
        for place, item in enumerate(data):
            assert item.id == data.ids[place] and item.image.shape == case.size
            assert item.image.dtype in (np.uint8, np.uint16, np.float32) and item.label.dtype == np.int32
            assert item.label.shape == case.size[:2]
            seen |= set(np.unique(item.label).tolist())
            assert (item.instances is not None) == data.has_instances
            if item.instances is not None:
                assert item.instances.shape == case.size[:2] and np.issubdtype(item.instances.dtype, np.integer)
                known = item.label != 255
                np.testing.assert_array_equal(item.instances[known] > 0, item.label[known] > 0)
                assert item.instances.max() >= 2
    assert seen - {255} == set(range(len(data.classes)))


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
        np.testing.assert_array_equal(data[0].image, expected[0].image)


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
        with pytest.raises(DataError, match=rf"{name}: where is it\? Pass --data-dir DIR, .*{case.looked_for}"):
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


@every_name
def test_a_data_set_travels_between_processes(name, trees):
    data = opened(name, trees(name), DATASET_CASES[name].apart[0])
    again = pickle.loads(pickle.dumps(data))
    assert again.ids == data.ids
    np.testing.assert_array_equal(again[0].label, data[0].label)


@every_name
def test_a_survey_counts_every_pixel_that_is_not_void(name, trees):
    case = DATASET_CASES[name]
    data = opened(name, trees(name), case.apart[0])
    found = datasets.survey(data)
    known = sum(int((item.label != 255).sum()) for item in data)
    assert found.images == len(data) and found.class_pixels.sum() == known and (found.class_pixels > 0).all()
    assert (found.heights, found.widths) == ((case.size[0],) * 2, (case.size[1],) * 2)


def test_an_unknown_data_set_gets_the_nearest_name():
    with pytest.raises(ConfigError, match="There is no data set 'isbi'. Did you mean 'isbi2012'"):
        datasets.open("isbi", split="train")
