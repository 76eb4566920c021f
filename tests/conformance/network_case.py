"""One entry or more per registered network: slim options, a size it takes and the size it then gives."""

from typing import Any, NamedTuple


class NetworkCase(NamedTuple):
    options: dict[str, Any]
    size: tuple[int, int]
    output: tuple[int, ...]  # of the scores, without batch and classes
    channels: tuple[int, ...] = (1, 3)  # numbers of input channels to try


SLIM = {"width": 1 / 16, "fc_width": 16}
TWO_HEADS = {"semantic": 5, "geometric": 3}


def fcn(size: tuple[int, int] = (37, 50), **options: Any) -> NetworkCase:
    return NetworkCase({**SLIM, "classes": 3, **options}, size, size)


NETWORK_CASES = {
    "unet": [
        NetworkCase({"width": 2, "depth": 2}, (48, 60), (8, 20)),
        NetworkCase({"width": 2, "depth": 1, "variant": "phseg_v5", "classes": 3}, (20, 24), (4, 8)),
        NetworkCase({"width": 4, "depth": 2, "padding": "same", "normalization": "batch"}, (12, 16), (12, 16)),
        NetworkCase({"width": 4, "depth": 1, "padding": "same", "normalization": "group"}, (6, 8), (6, 8)),
    ],
    "vgg16": [NetworkCase({**SLIM, "classes": 5, "convolutional": True}, (256, 224), (2, 1))],
    "alexnet": [NetworkCase({**SLIM, "classes": 5, "convolutional": True}, (259, 227), (2, 1))],
    "googlenet": [NetworkCase({"width": 1 / 16, "classes": 5, "convolutional": True}, (256, 224), (2, 1))],
    "fcn32s": [
        fcn(),
        fcn(backbone="alexnet", upsampling="learned"),
        fcn(backbone="alexnet", padding="same"),
        fcn(backbone="googlenet", padding="same"),
        fcn(classes=TWO_HEADS),
        fcn(streams=("rgb", "hha"))._replace(channels=(3,)),
    ],
    "fcn16s": [fcn(padding="same"), fcn(classes=TWO_HEADS), fcn(streams=("rgb", "hha"))._replace(channels=(3,))],
    "fcn8s": [fcn(), fcn(padding="same", upsampling="learned"), fcn(classes=TWO_HEADS)],
    "fcn8s-atonce": [fcn()],
    "fcn32s-rgbd": [fcn()._replace(channels=(4,))],
}
