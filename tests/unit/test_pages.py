import math
import re
from html.parser import HTMLParser

import numpy as np

from kseg import pages
from kseg.pictures import png

NASTY = '<script>alert("1 & 2")</script>'


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.sources, self.text = [], [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def read(text):
    reader = Reader()
    reader.feed(text)
    return reader


def test_a_page_has_all_text_escaped_wherever_it_stands():
    counts = np.array([[3, 1], [0, 0]])
    text = pages.page(
        NASTY,
        pages.section(NASTY, pages.paragraph(NASTY), pages.warning(NASTY), pages.listing(NASTY)),
        pages.folded(NASTY, pages.table((NASTY, "n"), [(NASTY, 1)], caption=NASTY)),
        pages.bars((NASTY, NASTY), {NASTY: 0.5}),
        pages.shaded((NASTY, "b"), counts, caption=NASTY),
        pages.picture(b"png", NASTY),
    )
    reader = read(text)
    assert "script" not in reader.tags
    assert reader.text.count(NASTY) >= 13


def test_a_page_needs_nothing_beside_itself():
    text = pages.page("A page", pages.picture(b"\x89PNG", "a picture", wide=True))
    assert read(text).sources == ["data:image/png;base64,iVBORw=="]
    assert "url(" not in text and "http" not in text
    assert "color-scheme: light dark" in text and "@media print" in text and 'name="viewport"' in text


def test_a_wide_picture_is_not_drawn_wider_than_it_is():
    narrow = png(np.zeros((40, 302, 3), np.uint8))
    text = pages.page("A page", pages.picture(narrow, "a strip of a narrow image", wide=True))
    assert 'style="--own:302px"' in text and "min-width: min(56rem, 200vw, var(--own))" in text


def test_what_is_empty_has_no_heading():
    assert pages.section("Warnings") == "" and pages.section("Curves", "") == ""
    assert pages.table(("a",), []) == ""


def test_numbers_stand_right_and_what_is_not_there_is_a_dash():
    text = pages.table(("image", "IU", "pixels"), [("a", 0.5, 1234567), ("b", math.nan, None), ("c", 0.0012, 5)])
    cells = re.findall(r'<td( class="number")?>([^<\n]*)', text)
    assert [cell for _, cell in cells] == ["a", "0.500", "1,234,567", "b", "-", "-", "c", "0.001200", "5"]
    assert [bool(kind) for kind, _ in cells] == [False, True, True] * 3


def test_a_confusion_matrix_shows_shares_of_the_true_pixels():
    text = pages.shaded(("sky", "tree", "sea"), np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]]))
    assert '<td title="sky as tree" style="background:rgba(var(--mark),0.19)">25.0' in text
    assert '<td title="tree as tree" style="background:rgba(var(--mark),0.75)">100.0' in text
    assert "<tr><th>2 sea<td><td><td><td>0" in text


def test_a_bar_is_as_long_as_its_number():
    text = pages.bars(("class", "IU"), {"sky": 0.25, "tree": math.nan})
    assert '<meter value="0.2500"></meter><td class="number">0.250' in text and text.count("<meter") == 1
