"""`predict` and `evaluate` on many images, as shares of the bare network's rate.

    python -m benchmarks.many_images [--images 500] [--size 512] [--network paper|own|tiny] [--precision float32]
        [--bare 20] [--json FILE]

A folder gets `--images` grey PNGs of cells with their labels. Then, in one process and without its imports:

- bare: the predictor on images in memory, already widened by the borders that the network loses; nothing is read,
  argmaxed or written. It is timed before and after the others, and the mean counts.
- arrays: `kseg.predict` on the images in memory.
- predict, evaluate: the verbs' own work, from the files to the files and the report.

The share of a row is its rate divided by the bare one. Peak memory is the process's, after a run over a tenth of the
images and after the whole: it does not grow with their number. `paper` is the paper's U-Net (64 channels, unpadded),
`own` a U-Net as the recipe own-unet trains it (16 channels).

Measured on two cores with AVX-512 and AMX (flags avx2 avx512f avx512_bf16 amx_bf16), which other jobs used too, 512 x
512. In brackets the share before reading, computing and writing overlapped:

    own, float32, 120 images          predict 0.96 (0.77)   evaluate 0.94 (0.73)   peak 754 MB after 12, 788 after 120
    paper, mixed_bfloat16, 60 images  predict 1.04          evaluate 1.03          peak 1156 MB after 6, 1305 after 60

Images of one size are not computed together: per image, two of 512 x 512 take 0.98 of the time of one (own) and 0.93
(paper, mixed_bfloat16), eight of 256 x 256 take 0.91 (own).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

NETWORKS = {
    "paper": {},
    "own": {"width": 16, "padding": "same", "normalization": "batch"},
    "tiny": {"width": 2, "depth": 1, "padding": "same"},
}


def write_images(folder: Path, count: int, size: int) -> None:
    """Writes `count` images that look like cells under a microscope, and their labels: background and cell."""
    from kseg.images import write_image

    for number in range(count):
        rng = np.random.default_rng(number)
        smooth = cv2.GaussianBlur(rng.normal(0, 1, (size, size)).astype(np.float32), (0, 0), 8)
        smooth /= smooth.std()
        image = (110 + 30 * smooth + rng.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)
        write_image(folder / "images" / f"cells_{number:04d}.png", image)
        write_image(folder / "labels" / f"cells_{number:04d}.png", (smooth > 0.5).astype(np.uint8), in_areas=True)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def flags() -> str:
    """What of this processor matters here."""
    known = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    try:
        said = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return ""
    return " ".join(flag for flag in known if flag in said)


def measure(count: int, size: int, network: str, precision: str, bare: int) -> dict[str, Any]:
    """The seconds per image of each way, and peak memory."""
    import keras

    import kseg
    from kseg import datasets
    from kseg.geometry import mirrored
    from kseg.images import read_image
    from kseg.inference import predictor
    from kseg.inference.files import predict_files
    from kseg.reports import evaluate

    keras.utils.set_random_seed(0)
    call = predictor(kseg.build("unet", classes=2, **NETWORKS[network]), precision=precision)
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), count, size)
        paths = sorted((Path(folder) / "images").iterdir())
        images = [read_image(path) for path in paths[:bare]]
        border = call.geometry.border
        lines = mirrored(-border, call.geometry.next_input(size + 2 * border) - border, size)
        wide = [image[lines][:, lines][None] for image in images]
        call.joined(wide[0])  # traces the graph

        def seconds(work: Any, given: Any) -> float:
            start = time.perf_counter()
            for each in given:
                work(each)
            return (time.perf_counter() - start) / len(given)

        def predicted(chosen: list[Path], name: str) -> float:
            start = time.perf_counter()
            with closing(predict_files(call, chosen, Path(folder) / name)) as results:
                for result in results:
                    assert isinstance(result, list), result
            return (time.perf_counter() - start) / len(chosen)

        data = datasets.open("folder", folder, split="all")
        found: dict[str, Any] = {}
        predicted(paths[: max(2, count // 10)], "some")
        some = peak_mb()
        before = seconds(call.joined, wide)
        found["arrays"] = seconds(lambda image: kseg.predict(call, image), images)
        found["predict"] = predicted(paths, "results")
        start = time.perf_counter()
        report = evaluate(call, data)
        found["evaluate"] = (time.perf_counter() - start) / len(report.images)
        found["bare"] = (before + seconds(call.joined, wide)) / 2
        written = {path.name: read_image(path) for path in sorted((Path(folder) / "results").iterdir())}
        same = all((written[path.name][..., 0] == kseg.predict(call, read_image(path))).all() for path in paths[:bare])
    return {
        "network": network,
        "precision": call.precision,
        "images": count,
        "size": size,
        "seconds": found,
        "share": {name: found["bare"] / found[name] for name in ("arrays", "predict", "evaluate")},
        "written": len(written),
        "scored": len(report.images),
        "same": bool(same),
        "peak_mb": {"a tenth": some, "all": peak_mb()},
        "threads": os.cpu_count(),
        "flags": flags(),
    }


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--network", choices=NETWORKS, default="paper")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--bare", type=int, default=20, help="images on which the bare network is timed")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    found = measure(asked.images, asked.size, asked.network, asked.precision, asked.bare)
    print(f"{found['network']} in {found['precision']}, {found['images']} images of {asked.size} x {asked.size}")
    for name, each in found["seconds"].items():
        share = f"  {found['share'][name]:.2f} of the bare rate" if name in found["share"] else ""
        print(f"{name:10} {1000 * each:8.1f} ms an image{share}")
    print(f"peak memory {found['peak_mb']['a tenth']:.0f} MB after a tenth, {found['peak_mb']['all']:.0f} MB after all")
    print(f"{found['threads']} threads, {found['flags']}; results equal to kseg.predict: {found['same']}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


if __name__ == "__main__":
    main()
