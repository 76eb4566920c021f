"""Reads any picture or stack into arrays, and writes arrays: orientation, bit depth, alpha, palettes.

A file that can't be read correctly is refused with its name. Nothing is scaled, cut or converted without notice.
"""

from kseg.images.arrays import LARGEST_PAGE, turned, with_channels
from kseg.images.errors import ColouredLabel, DamagedFile, LossyLabel
from kseg.images.labels import label_pages, orientation_of, read_label
from kseg.images.levels import SAVE_IN_ONE_DEPTH, doubts_of_levels, white_of_levels, white_setting
from kseg.images.orientation import Drawn, question_of_label, sizes_tell, turn_of_label
from kseg.images.read import ENDINGS, LOSSY, Pages, is_image, is_stack, open_pages, read_image, stem_of
from kseg.images.tiff.bands import Bands
from kseg.images.tiff.nodata import NO_CLASS, doubts_of_no_data
from kseg.images.tiff.origin import Origin
from kseg.images.write import stack_writer, write_image

__all__ = [
    "ENDINGS",
    "LARGEST_PAGE",
    "LOSSY",
    "NO_CLASS",
    "SAVE_IN_ONE_DEPTH",
    "Bands",
    "ColouredLabel",
    "DamagedFile",
    "Drawn",
    "LossyLabel",
    "Origin",
    "Pages",
    "doubts_of_levels",
    "doubts_of_no_data",
    "is_image",
    "is_stack",
    "label_pages",
    "open_pages",
    "orientation_of",
    "question_of_label",
    "read_image",
    "read_label",
    "sizes_tell",
    "stack_writer",
    "stem_of",
    "turn_of_label",
    "turned",
    "white_of_levels",
    "white_setting",
    "with_channels",
    "write_image",
]
