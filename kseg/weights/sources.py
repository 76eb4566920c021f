"""Every public file of weights: its address, size and digest.

Sizes and digests are those stated by the publishers, or by others who have the files; None if nobody states them. A
person must fetch Google Drive's files, since it answers programs with a page.

Source: facts of the FCN release, section 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kseg.download import digest_of, fetch, mismatch
from kseg.errors import ConfigError, did_you_mean
from kseg.storage import cache_folder

_KERAS = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/",
    "https://github.com/fchollet/deep-learning-models/releases/download/v0.1/",
)
_TORCH = ("https://download.pytorch.org/models/",)
_CAFFE = ("http://dl.caffe.berkeleyvision.org/",)
_DRIVE = "https://drive.google.com/file/d/"
_FORMS = {"pth": "PyTorch's form", "npz": "Chainer's form, which kseg does not read"}
# The released networks, converted by others: name, form, Google Drive's number, md5
_CONVERTED = (
    ("vgg16", "pth", "1adDBTGY3GcEB_47dvcibajyzi872RAs3", "aa75b158f4181e7f6230029eb96c1b13"),
    ("voc-fcn32s", "pth", "11k2Q0bvRQgQbT6-jYWeh6nmAsWlSCY3f", "d3eb467a80e7da0468a20dfcbc13e6c8"),
    ("voc-fcn16s", "pth", "1bctu58B6YH9bu6lBBSBB2rUeGlGhYLoP", "a2d4035f669f09483b39c9a14a0d6670"),
    ("voc-fcn8s", "pth", "1ieXWyoG68xqoHJPWdyrDyaIaaWlfmUxI", "de93e540ec79512f8770033849c8ae89"),
    ("voc-fcn8s-atonce", "pth", "0B9P1L--7Wd2vblE1VUIxV1o2d2M", "bfed4437e941fef58932891217fe6464"),
    ("voc-fcn32s", "npz", "0B9P1L--7Wd2vTElpa1p3WFNDczQ", "b7f0a2e66229ccdb099c0a60b432e8cf"),
    ("voc-fcn16s", "npz", "0B9P1L--7Wd2vcnBiXzZTcG9FU3c", "7c9b50a1a8c6c20d3855d4823bbea61e"),
    ("voc-fcn8s", "npz", "0B9P1L--7Wd2vb0cxV0VhcG1Lb28", "256c2a8235c1c65e62e48d3284fbd384"),
    ("voc-fcn8s-atonce", "npz", "0B9P1L--7Wd2vZ1RJdXotZkNhSEk", "5f3ffdc7fae1066606e1ef45cfda548f"),
    ("vgg16", "npz", "0B9P1L--7Wd2vRy1XYnRSa1hNSW8", "54a0cddc1392ccc4056bbeecbb30f3d4"),
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A published file.

    Attributes:
      file: its name.
      what: what it contains, and what one must know of it.
      addresses: where it can be downloaded, the preferred one first; none if a person must fetch it.
      size_bytes: its size.
      digest: "KIND:HEX", at least the first digits.
      page: where a person finds it, if there is no address.
    """

    file: str
    what: str
    addresses: tuple[str, ...] = ()
    size_bytes: int | None = None
    digest: str | None = None
    page: str | None = None


def _at(folders: tuple[str, ...], file: str, what: str, size: int | None = None, digest: str | None = None) -> Source:
    return Source(file, what, tuple(folder + file for folder in folders), size, digest)


def _fcn(file: str, what: str, digest: str | None = None) -> Source:
    return _at(_CAFFE, f"{file}.caffemodel", what, None, digest)


SOURCES: dict[str, Source] = {
    "vgg16-keras": _at(
        _KERAS,
        "vgg16_weights_tf_dim_ordering_tf_kernels.h5",
        "VGG16 of keras.applications, ImageNet: the weights called `imagenet`",
        553_467_096,
        "md5:64373286793e3c8b2b4e3219cbf3544b",
    ),
    "vgg16-keras-notop": _at(
        _KERAS,
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "the same without fc6 and fc7: not enough for FCN",
        58_889_256,
        "md5:6d6bbae143d832006294945121d1f1fc",
    ),
    "vgg16-torchvision": _at(
        _TORCH,
        "vgg16-397923af.pth",
        "VGG16 of torchvision, ImageNet, trained by torchvision",
        553_433_881,
        "sha256:397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
    "vgg16-amdegroot": _at(
        _TORCH,
        "vgg16_features-amdegroot-88682ab5.pth",
        "VGG16's convolutions from Caffe, RGB; no classifier; about 553 MB",
        None,
        "sha256:88682ab5",
    ),
    "vgg16-caffe": _at(
        ("http://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe/",),
        "VGG_ILSVRC_16_layers.caffemodel",
        "VGG16, its authors' own",
        553_432_081,
        "sha1:9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24",
    ),
    "caffenet": _at(
        _CAFFE,
        "bvlc_reference_caffenet.caffemodel",
        "CaffeNet, ImageNet: what FCN-AlexNet starts from; about 244 MB",
        None,
        "sha1:4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
    ),
    "caffenet-oldest": Source(
        "caffe_reference_imagenet_model",
        "CaffeNet in the oldest format; no address is known",
        digest="sha256:472d4a06035497b180636d8a82667129960371375bd10fcb6df5c6c7631f25e0",
    ),
    "alexnet-bvlc": _at(
        _CAFFE,
        "bvlc_alexnet.caffemodel",
        "AlexNet, which normalises before it pools; about 244 MB",
        None,
        "sha1:9116a64c0fbe4459d18f4bb6b56d647b63920377",
    ),
    "googlenet": _at(
        _CAFFE,
        "bvlc_googlenet.caffemodel",
        "GoogLeNet, ImageNet",
        53_533_754,
        "sha1:405fc5acd08a3bb12de8ee5e23a96bec22f08204",
    ),
    "voc-fcn32s": _fcn("fcn32s-heavy-pascal", "FCN-32s, PASCAL VOC", "sha1:05eb922d7829c39448f57e5ab9d8cd75d6c0be6d"),
    "voc-fcn16s": _fcn("fcn16s-heavy-pascal", "FCN-16s, PASCAL VOC"),
    "voc-fcn8s": _fcn("fcn8s-heavy-pascal", "FCN-8s, PASCAL VOC", "sha1:c449ea74dd7d83751d1357d6a8c323fcf4038962"),
    "voc-fcn8s-atonce": _fcn("fcn8s-atonce-pascal", "FCN-8s at once, PASCAL VOC"),
    "voc-fcn-alexnet": _fcn("fcn-alexnet-pascal", "FCN-AlexNet, PASCAL VOC; one of 2015 has the same file name"),
    "nyud-fcn32s-color": _fcn("nyud-fcn32s-color-heavy", "FCN-32s, NYUDv2, colour"),
    "nyud-fcn32s-hha": _fcn("nyud-fcn32s-hha-heavy", "FCN-32s, NYUDv2, HHA"),
    "nyud-fcn32s-color-hha": _fcn("nyud-fcn32s-color-hha-heavy", "FCN-32s, NYUDv2, late fusion"),
    "vgg16-fcn": Source(
        "vgg16-fcn.caffemodel",
        "never published (nor vgg16fc, alexnet-fcn); scripts of the release name it; kseg makes it of vgg16-caffe",
    ),
    "nyud-fcn32s-color-d": Source("nyud-fcn32s-color-d-heavy.caffemodel", "early fusion: never published"),
    **{
        f"siftflow-fcn{stride}s": _fcn(f"siftflow-fcn{stride}s-heavy", f"FCN-{stride}s, SIFT Flow, two heads")
        for stride in (32, 16, 8)
    },
    **{
        f"context-fcn{stride}s": _fcn(f"pascalcontext-fcn{stride}s-heavy", f"FCN-{stride}s, PASCAL-Context")
        for stride in (32, 16, 8)
    },
    **{
        f"voc-fcn{stride}s-2015": _fcn(f"fcn-{stride}s-pascal", f"FCN-{stride}s of the first paper, older layer names")
        for stride in (32, 16, 8)
    },
    **{
        f"{name}-{form}": Source(
            f"{name.removeprefix('voc-')}_from_caffe.{form}",
            f"{name} in {_FORMS[form]}",
            digest=f"md5:{md5}",
            page=f"{_DRIVE}{number}/view",
        )
        for name, form, number, md5 in _CONVERTED
    },
    "voc-fcn8s-atonce-h5": Source(
        "fcn8s-atonce.h5",
        "voc-fcn8s-atonce in Keras' form, which kseg does not read; the file's true name is not known",
        page=f"{_DRIVE}1eesyNbscB_3ex_P4StW_PWtTwwFUO_nb/view",
    ),
    "unet": Source(
        "u-net-release-2015-10-02.tar.gz",
        "the U-Net authors' release with phseg_v5.caffemodel; unpack it by hand; 184 MB",
        ("https://lmb.informatik.uni-freiburg.de/people/ronneber/u-net/u-net-release-2015-10-02.tar.gz",),
        None,
        "sha256:260c51948e9e0f3fe1f1282dbedaf2ca69bea38b8392ef8df6d751e58b234740",
        "http://lmb.informatik.uni-freiburg.de/people/ronneber/u-net",
    ),
}


def source(name: str) -> Source:
    """The source of that name.

    Raises:
      ConfigError: there is none; the message names the nearest.
    """
    if name not in SOURCES:
        raise ConfigError(f"There is no source of weights {name!r}.", did_you_mean(name, SOURCES))
    return SOURCES[name]


def place_of(name: str) -> Path:
    """Where the source's file lies in the cache, after a download or put there by hand."""
    return cache_folder() / "weights" / source(name).file


def fetched(name: str) -> Path:
    """The source's file in the cache; it is downloaded if it is not there.

    Raises:
      ConfigError: no such source.
      EnvironmentFailure: it could not be downloaded; the message says which file to bring and where to put it.
    """
    wanted = source(name)
    place, size_bytes, digest = place_of(name), wanted.size_bytes, wanted.digest
    return fetch(wanted.addresses, place, size_bytes=size_bytes, digest=digest, page=wanted.page)


def same_file(name: str, path: str | Path) -> bool:
    """Whether the file is this source's, by its digest."""
    wanted = source(name)
    return wanted.digest is not None and mismatch(Path(path), wanted.size_bytes, wanted.digest) is None


def recognised(path: str | Path) -> str | None:
    """The name of the source that a file is, by its digest; None if no source has this digest."""
    path, found = Path(path), dict[str, str]()
    for name, wanted in SOURCES.items():
        if wanted.digest is None or wanted.size_bytes not in (None, path.stat().st_size):
            continue
        kind, digits = wanted.digest.split(":")
        if kind not in found:
            found[kind] = digest_of(path, kind)
        if found[kind].startswith(digits):
            return name
    return None


@dataclass(frozen=True)
class Verdict:
    """Whether a file is a published one, and a sentence on it."""

    right: bool
    text: str


def verified(path: str | Path) -> Verdict:
    """Whether the file is a published one: by its digest, or by name and size if no digest was published."""
    path = Path(path)
    name = recognised(path)
    if name is not None:
        kind, digits = str(SOURCES[name].digest).split(":")
        return Verdict(True, f"{path}: {name}, whole ({kind} {digits}...): {SOURCES[name].what}.")
    own = f"{path.stat().st_size:,} bytes, sha256 {digest_of(path)}"
    for name, wanted in SOURCES.items():
        if wanted.file == path.name:
            wrong = mismatch(path, wanted.size_bytes, wanted.digest)
            if wrong is not None:
                return Verdict(False, f"{path}: not the {name} that was published: {wrong}. Fetch it again.")
            return Verdict(True, f"{path}: has the name of {name}, for which no digest was published; it has {own}.")
    return Verdict(False, f"{path}: no published file that kseg knows ({own}). `kseg weights list` names them.")
