import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from kseg.cli import main
from kseg.datasets import Dataset, Item
from kseg.errors import DataError
from kseg.gallery import look, numbered_panels, panels_of, write_gallery
from kseg.images import read_image


class Two(Dataset):
    """Two streams and two heads, void in the second; as many items as are asked for."""

    name, classes = "two", {"what": ("sky", "tree", "sea"), "where": ("up", "down")}

    def __init__(self, count):
        self.choose("train", ["train"])
        self.ids = [f"item{number:02}" for number in range(count)]

    def read(self, index):
        colours = np.full((20, 30, 3), 10 * index, np.uint8)
        depth = np.arange(600, dtype=np.float32).reshape(20, 30, 1) / 100
        where = np.zeros((20, 30), np.int32)
        where[5:10] = 255
        return Item(self.ids[index], {"rgb": colours, "depth": depth}, {"what": np.full((20, 30), 2), "where": where})


def test_items_are_from_all_over_the_split():
    assert [item.id for item in look(Two(23)).items] == [f"item{number:02}" for number in range(0, 23, 2)]
    assert [item.id for item in look(Two(3)).items] == ["item00", "item01", "item02"]


def test_a_split_without_images_is_refused():
    with pytest.raises(DataError, match="two: there is nothing in the split train"):
        look(Two(0))


def test_every_stream_and_every_head_has_a_panel():
    data = Two(1)
    panels = panels_of(data, data[0])
    assert list(panels) == ["rgb", "depth", "what", "where"]
    assert all(panel.shape == (20, 30, 3) and panel.dtype == np.uint8 for panel in panels.values())
    assert panels["depth"].min() == 0 and panels["depth"].max() == 255


def test_panels_are_called_by_the_number_of_their_image():
    assert list(numbered_panels(look(Two(2))))[2:6] == ["1: what", "1: where", "2: item01", "2: depth"]


@pytest.mark.parametrize(
    "size, panel, width",
    [
        ((100, 3200), (38, 1200), 1200),  # sqrt(32 / 2) = 4 times 300; the label below its image
        ((3200, 100), (1200, 38), None),
        ((100, 200), (100, 200), 2 * 204 - 4),
    ],
)
def test_a_long_image_is_shown_large_enough_to_be_seen(tmp_path, size, panel, width):
    class Long(Two):
        classes = ("up", "down")

        def read(self, index):
            return Item("long", np.full((*size, 1), 200, np.uint8), np.zeros(size, np.int32))

    gallery = look(Long(1))
    assert numbered_panels(gallery)["1: label"].shape[:2] == panel
    write_gallery(gallery, tmp_path / "long.png")
    assert width in (None, read_image(tmp_path / "long.png").shape[1])


def test_what_is_in_them_is_said_by_head():
    lines = str(look(Two(2))).splitlines()
    assert lines[:2] == [
        "two train: 2 images, float32 and uint8, 4 channels (rgb and depth); 2 of them shown",
        "heights 20 to 20, widths 30 to 30, up to 10",
    ]
    assert lines[2:5] == ["what classes in these:", "  sea              100.00%", "  not in these: sky, tree"]
    assert lines[-1] == "  300 pixels are void"


def test_a_page_holds_pictures_and_the_colour_of_each_class(tmp_path):
    write_gallery(look(Two(2)), tmp_path / "two.html")
    text = (tmp_path / "two.html").read_text()
    assert text.count("data:image/png") == 2 and "item01" in text
    assert '<i style="background:rgb(60,157,60)"></i>2 sea' in text and "</i>void" in text
    assert "<i></i>0 up" in text  # of two classes the first is not painted
    write_gallery(look(Two(2)), tmp_path / "two.png")
    assert read_image(tmp_path / "two.png").shape[1] == 4 * 304 - 4


@pytest.mark.parametrize("kind, levels", [(np.uint8, 255), (np.uint16, 4095), (np.float32, 0.5)])
def test_a_folder_of_ones_own_is_shown(tmp_path, monkeypatch, kind, levels):
    monkeypatch.chdir(tmp_path)
    for place in ("images", "labels"):
        (tmp_path / "mine" / place).mkdir(parents=True)
    for seed, name in enumerate("abcdef"):
        pixels = (np.random.default_rng(seed).random((24, 32)) * levels).astype(kind)
        Image.fromarray(pixels).save(tmp_path / "mine/images" / f"{name}.tif")
        Image.fromarray(np.eye(24, 32, dtype=np.uint8)).save(tmp_path / "mine/labels" / f"{name}.png")
    words = ["data", "show", "--dataset", "folder", "--data-dir", "mine", "-o", "mine.png"]
    shown = CliRunner().invoke(main, words, catch_exceptions=False)
    assert shown.exit_code == 0 and f"images, {np.dtype(kind)}, 1 channel;" in shown.stdout
    assert shown.stdout.endswith("mine.png\n") and read_image("mine.png").shape[2] == 3
