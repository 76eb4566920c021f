"""Any picture or stack into arrays and back: orientation, bit depth, alpha, palettes.

What can't be read rightly is refused by name; nothing is scaled, cut or converted on the quiet.
"""

from kseg.images.arrays import with_channels
from kseg.images.read import ENDINGS, LOSSY, Pages, is_image, is_stack, open_pages, read_image, read_label
from kseg.images.write import stack_writer, write_image

__all__ = [
    "ENDINGS",
    "LOSSY",
    "Pages",
    "is_image",
    "is_stack",
    "open_pages",
    "read_image",
    "read_label",
    "stack_writer",
    "with_channels",
    "write_image",
]
