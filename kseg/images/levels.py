"""What grey levels tell of how images were saved; `train` and `data check` say it in the same words."""

from __future__ import annotations

from kseg.errors import Doubt, Setting

SAVE_IN_ONE_DEPTH = "Save all of them with 8 or all with 16 bits."
FAR = 2  # a level above this multiple of white is no light
_CAMERA_BITS = (10, 12, 14)


def white_of_levels(brightest: float) -> float:
    """The white of the camera whose levels go up to `brightest`: 1023, 4095 or 16383; else `brightest` itself."""
    whites = [(1 << bits) - 1 for bits in _CAMERA_BITS]
    fits = [white for white in whites if white / 2 < brightest <= white]
    return float(fits[0]) if fits and brightest == int(brightest) else brightest


def white_setting(level: float) -> Setting:
    """The setting by which `level` is white, in six digits."""
    value = float(f"{level:g}")
    return Setting("data.white", int(value) if value.is_integer() and value < 1e6 else value)


def doubts_of_levels(darkest: float, brightest: float, white: float) -> list[Doubt]:
    """What looks wrong with images of these levels, for a network that takes `white` for white.

    A camera of 10 to 14 bits stays far below the white of 16 bits. Levels far beyond black and white mark missing data.
    """
    doubts = []
    bright = f"the brightest pixel is {brightest:g}, white is {white:g}."
    if brightest < white / 4:
        camera = white_setting(white_of_levels(brightest))
        doubts.append(Doubt(bright, ("Is that the camera's white? Else pass ", camera, ".")))
    if brightest > FAR * white:
        light = ("Pass ", white_setting(brightest), f" where that is light; where it {_mark(brightest)}")
        doubts.append(Doubt(bright, light))
    if darkest < -white:
        doubts.append(Doubt(f"the darkest pixel is {darkest:g}, white is {white:g}.", (f"Where it {_mark(darkest)}",)))
    return doubts


def _mark(level: float) -> str:
    return (
        "means that there is no data, say so in the files, and it is void: "
        f"gdal_edit.py -a_nodata {level:.9g} FILE.tif."
    )
