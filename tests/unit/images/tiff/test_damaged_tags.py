"""TIFFs whose tags were damaged: read, or refused in one sentence that names the file, whatever was hit."""

import io

import numpy as np
import pytest
import tifffile

from kseg.errors import DataError
from kseg.images import label_pages, open_pages, read_label, stack_writer

STACK = np.arange(4 * 6 * 7, dtype=np.uint8).reshape(4, 6, 7)
GEO = [(33550, 12, 3, (0.5, 0.5, 0.0), True), (33922, 12, 6, (0.0,) * 6, True), (34737, 2, 0, "UTM|", True)]


def saved(*pages, **options):
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, **{key: options.pop(key) for key in ("imagej", "ome") if key in options}) as file:
        for page, kind in pages:
            file.write(page, subfiletype=kind, **{"photometric": "minisblack", **options})
    return stream.getvalue()


FILES = {
    "imagej": saved(
        (STACK.reshape(2, 2, 6, 7), 0),
        imagej=True,
        resolution=(5, 5),
        metadata={"axes": "ZCYX", "unit": "um", "spacing": 2.0},
    ),
    "ome": saved((STACK, 0), ome=True, metadata={"axes": "CYX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2}),
    "shaped": saved((STACK, 0), metadata={"axes": "TYX"}),
    "geo": saved((STACK[0], 0), extratags=[*GEO, (42113, 2, 0, "0", True), (274, 3, 1, 6, True)], metadata=None),
    "overviews": saved((STACK[0], 0), (STACK[0, ::2, ::2], 1), (STACK[0] > 3, 4), metadata=None),
    "float": saved((STACK[0].astype(np.float32), 0), extratags=[(42113, 2, 0, "nan", True)], metadata=None),
}


def damaged(valid, random):
    """A few bits flipped, mostly where tags and texts stand; numbers set to their extremes; a piece lost."""
    data = bytearray(valid)
    reach = len(data) if random.random() < 0.5 else min(len(data), 700)
    for place in random.integers(0, reach, random.integers(1, 5)).tolist():
        data[place] ^= 1 << int(random.integers(8))
    if random.random() < 0.4:
        place = int(random.integers(0, max(1, reach - 4)))
        data[place : place + 4] = [b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"9999"][int(random.integers(4))]
    if random.random() < 0.1:
        del data[int(random.integers(8, len(data))) :]
    return bytes(data)


def try_all(path):
    """How many of the ways to read `path` are refused."""
    refused = 0

    def images():
        pages = open_pages(path)
        for number in range(min(len(pages), 8)):
            image, gaps = pages.read(number)
            assert image.ndim == 3 and image.dtype in (np.uint8, np.uint16, np.float32) and np.isfinite(image).all()
            assert gaps is None or gaps.shape == image.shape[:2]
        with stack_writer(path.with_name("out.tif"), pages.origin, pages=2, no_data="255") as write:
            write(STACK[0])
            write(STACK[1])
        assert len(open_pages(path.with_name("out.tif"))) == 2

    def labels():
        for number in range(min(label_pages(path), 8)):
            assert read_label(path, number).dtype == np.int32

    for read in (images, labels, lambda: open_pages(path, axes="CYX")):
        try:
            read()
        except DataError as error:
            refused += 1
            assert str(error).startswith(str(path)), error
    return refused


@pytest.mark.parametrize("name", FILES)
def test_damaged_tags_are_read_or_refused_and_nothing_else(tmp_path, name):
    random, path, refused = np.random.default_rng(33), tmp_path / "a.tif", 0
    path.write_bytes(FILES[name])
    assert try_all(path) == 0
    for _ in range(60):
        path.write_bytes(damaged(FILES[name], random))
        refused += try_all(path)
    assert refused
