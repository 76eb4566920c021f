"""One entry per registered network: slim options, and a size it takes with the size it then gives."""

from typing import Any, NamedTuple


class NetworkCase(NamedTuple):
    options: dict[str, Any]
    size: tuple[int, int]
    output: tuple[int, int]


NETWORK_CASES = {
    "unet": [
        NetworkCase({"width": 2, "depth": 2}, (48, 60), (8, 20)),
        NetworkCase({"width": 2, "depth": 1, "variant": "phseg_v5", "classes": 3}, (20, 24), (4, 8)),
        NetworkCase({"width": 4, "depth": 2, "padding": "same", "normalization": "batch"}, (12, 16), (12, 16)),
        NetworkCase({"width": 4, "depth": 1, "padding": "same", "normalization": "group"}, (6, 8), (6, 8)),
    ],
}
