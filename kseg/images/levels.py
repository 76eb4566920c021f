"""What grey levels tell of how images were saved, in the words that `train` and `data check` both use."""

from __future__ import annotations

from collections.abc import Mapping

FAR = 2  # times white, from where on a level is no light
_CAMERA_BITS = (10, 12, 14)


def white_of_levels(brightest: float) -> float:
    """The white of a camera that gave levels up to `brightest`: 1023, 4095 or 16383; else `brightest` itself."""
    whites = [(1 << bits) - 1 for bits in _CAMERA_BITS]
    fits = [white for white in whites if white / 2 < brightest <= white]
    return float(fits[0]) if fits and brightest == int(brightest) else brightest


def doubts_of_levels(darkest: float, brightest: float, white: float) -> list[str]:
    """What looks wrong with images of these levels, for a network to which `white` is white.

    A camera's white is far below that of its file's type. What lies far outside black and white marks missing data.
    """
    doubts = []
    if brightest < white / 4:
        doubts.append(
            f"the brightest pixel is {brightest:g}, white is {white:g}. "
            f"Is that the camera's white? Else pass --set data.white={white_of_levels(brightest):g}."
        )
    if brightest > FAR * white:
        doubts.append(
            f"the brightest pixel is {brightest:g}, white is {white:g}. Pass --set data.white={brightest:g} where "
            f"that is light; where it {_mark(brightest)}"
        )
    if darkest < -white:
        doubts.append(f"the darkest pixel is {darkest:g}, white is {white:g}. Where it {_mark(darkest)}")
    return doubts


def _mark(level: float) -> str:
    return (
        "means that there is no data, say so in the files, and it is void: "
        f"gdal_edit.py -a_nodata {level:.9g} FILE.tif."
    )


def words_for_depths(examples: Mapping[str, str]) -> str:
    """What is to be said of images of several types: the name of an image by type."""
    found = ", ".join(f"{kind} ({name})" for kind, name in examples.items())
    return f"images of different depth: {found}. Save all of them with 8 or all with 16 bits."
