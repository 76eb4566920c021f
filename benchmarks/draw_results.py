"""Writes docs/results.md and its pictures from the files of benchmarks/results:  python -m benchmarks.draw_results

Each section is a function of one file. A further kind of results is a further function in SECTIONS.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.own_data.scores import HIGHER
from benchmarks.own_data.works import WORKS
from benchmarks.peers.table import described
from benchmarks.studies.lists import STUDIES
from benchmarks.studies.study import Arm, Study

ROOT = Path(__file__).resolve().parents[1]
RESULTS, DOCS = ROOT / "benchmarks" / "results", ROOT / "docs"
INTRODUCTION = """# Results

What networks reach that were trained with kseg, and what others reach in the same time. This page and its pictures are
written by `python -m benchmarks.draw_results` from the files in benchmarks/results/; nothing is changed by hand.
"""
OWN_DATA = """## Your own images, beside nnU-Net v2 and a plain U-Net

Every system gets the same images, the same cores and the same minutes, and none starts from weights of others. The
scores are of images that no network was trained on, by the same functions of kseg.metrics.

- **kseg**: `train --dataset folder` with no other setting than what the labels mean. It holds out a part of the
  training images and chooses its network, its threshold and its rules for objects by them. Its minutes include the
  measured speed, the validations and the report. The rules of its plan were tried on the same images before, with
  fewer steps (kseg/preparation/plan.py says how).
- **nnU-Net v2**: its own 2D plan, network, loss, augmentation and predictor. It trains on all images. Planning,
  preprocessing and validations are outside of its minutes.
- **SMP U-Net**: `Unet("resnet18", encoder_weights=None)` of segmentation_models_pytorch with Adam, a cosine, cross
  entropy and Dice, on all images.
- **Otsu and watershed**, of bright objects alone: what a person does without a network, by scikit-image. How far apart
  two objects must be is chosen on the training images.

All networks compute in bfloat16 where that is quicker on the processor. The rates of the peers' networks fall with the
clock and reach 0 as the minutes end. Of numbered objects these learn three classes: ground, inside, and a border of two
pixels. Their objects are the parts of the inside, grown over the border; those under 20 pixels are left out where that
makes the peer's F1 on the scored images better. `benchmarks/own_data/` has all details.

Scores are means over the seeds, with the range in brackets; the best mean is bold.
"""
STUDIED = """## What a setting changes

Trainings that differ in one thing each, by `python -m benchmarks.studies DATA --folder FOLDER`. Steps are counted here,
not minutes. One seed where no range is given, so small differences may be chance.
"""
TITLES = {
    "f1": "F1 of objects at IoU 0.5",
    "seg": "SEG",
    "foreground_iu": "foreground IU",
    "count_error": "count error (lower is better)",
    "mean_iu": "mean IU",
    "v_rand": "V_rand",
    "v_info": "V_info",
    "pixel_error": "pixel error (lower is better)",
    "object_f1": "F1 of objects at IoU 0.5",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "frequency_weighted_iu": "frequency-weighted IU",
}
NAMES = {
    "kseg": "kseg",
    "nnunet": "nnU-Net v2",
    "smp": "SMP U-Net",
    "otsu": "Otsu and watershed",
}
OWN_COLOUR, PEER_COLOUR, SEED_COLOUR = "#2a6f97", "#b8bfc6", "#222222"

Row = dict[str, Any]
Groups = dict[str, list[Row]]


def write_page(results: Path = RESULTS, docs: Path = DOCS) -> Path:
    """Writes the page and its pictures; returns the page."""
    page = docs / "results.md"
    sections = [INTRODUCTION]
    for pattern, introduction, section in SECTIONS:
        files = sorted(results.glob(pattern))
        if files:
            sections.append(introduction)
        sections += [section(file, docs) for file in files]
    docs.mkdir(exist_ok=True)
    page.write_text("\n".join(sections), encoding="utf-8")
    return page


def own_data_section(file: Path, docs: Path) -> str:
    """The tables and pictures of one processor's comparison."""
    found = json.loads(file.read_text(encoding="utf-8"))
    rows = found["rows"]
    kind = found["machine"]["kind"]
    lines = [f"### {kind}", "", *(f"{line}." for line in described(found["machine"]).splitlines())]
    dates = sorted({row["date"] for row in rows})
    lines += [f"Measured: {dates[0] if len(dates) == 1 else f'{dates[0]} to {dates[-1]}'}.", "", "```bash"]
    lines += [*dict.fromkeys(row["comparison"] for row in rows), "```", ""]
    for minutes in sorted({row["minutes"] for row in rows}):
        for name in dict.fromkeys(row["work"] for row in rows if row["minutes"] == minutes):
            groups = by_system([row for row in rows if (row["work"], row["minutes"]) == (name, minutes)])
            about = textwrap.fill(WORKS[name].about, 120) if name in WORKS else ""
            picture = Path("pictures") / f"own-data-{kind}-{name}-{minutes:g}-minutes.svg"
            draw_bars(groups, docs / picture)
            lines += [f"#### {name}, {minutes:g} minutes", "", about, "", f"![The scores of {name}]({picture})", ""]
            lines += [*own_data_table(groups), ""]
    return "\n".join(lines)


def studies_section(file: Path, docs: Path) -> str:
    """The tables and pictures of one processor's studies."""
    found = json.loads(file.read_text(encoding="utf-8"))
    kind = found["machine"]["kind"]
    lines = [f"### {kind}", "", *(f"{line}." for line in described(found["machine"]).splitlines()), ""]
    for study in STUDIES.values():
        groups = {arm.name: [row for row in found["rows"] if _is_of(row, study, arm)] for arm in study.arms}
        groups = {name: group for name, group in groups.items() if group and group[0]["scores"]}
        if groups:
            picture = Path("pictures") / f"study-{kind}-{study.name}.svg"
            draw = draw_curves if study.along else draw_bars
            draw(groups, docs / picture)
            lines += [f"#### {study.title}", "", textwrap.fill(study.text, 120), "", f"![{study.title}]({picture})", ""]
            lines += [*study_table(study, groups), ""]
    return "\n".join(lines)


def _is_of(row: Row, study: Study, arm: Arm) -> bool:
    return (row["study"], row["arm"]) == (study.name, arm.name)


def study_table(study: Study, groups: Groups) -> list[str]:
    """A row for each training of a study."""
    head = ["training", *(TITLES.get(name, name.replace("_", " ")) for name in study.measures), "steps", "minutes"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] * len(head)) + " |"]
    best = _best(study.measures, groups)
    for arm, group in groups.items():
        cells = [arm, *(_score(values(group, name), best[name]) for name in study.measures)]
        cells += [f"{group[0]['steps']:,}", f"{np.mean([row['train_s'] for row in group]) / 60:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def by_system(rows: Sequence[Row]) -> Groups:
    """The rows of each system, in the order of NAMES."""
    order = [*NAMES, *sorted({row["system"] for row in rows} - set(NAMES))]
    groups = {name: [row for row in rows if row["system"] == name] for name in order}
    return {name: group for name, group in groups.items() if group}


def measures(groups: Groups) -> list[str]:
    """The scores that every row has, in the order of TITLES."""
    rows = [row for group in groups.values() for row in group]
    return [name for name in TITLES if all(name in row["scores"] for row in rows)]


def values(group: Sequence[Row], name: str) -> np.ndarray:
    """(seeds,) float64: a score of each row."""
    return np.array([row["scores"][name] for row in group], np.float64)


def own_data_table(groups: Groups) -> list[str]:
    """A row for each system: how it trained, and its scores."""
    shown = measures(groups)
    best = _best(shown, groups)
    head = ["system", "seeds", *(TITLES[name] for name in shown), "steps", "batch", "precision", "minutes", "peak MB"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] * len(head)) + " |"]
    for system, group in groups.items():
        cells = [NAMES.get(system, system), str(len(group))]
        cells += [_score(values(group, name), best[name]) for name in shown]
        cells += [f"{np.mean([row['steps'] for row in group]):,.0f}"]
        cells += [", ".join(dict.fromkeys(str(row[name]) for row in group)) for name in ("batch", "precision")]
        cells += [f"{np.mean([row['wall_s'] for row in group]) / 60:.1f}"]
        cells += [f"{max(row['peak_mb'] for row in group):,.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    plans = [f"{NAMES.get(name, name)} {group[0]['plan_s']:.0f} s" for name, group in groups.items() if _plans(group)]
    lines += ["", "The minutes are those of the whole process up to the trained network, with its start."]
    return lines + ([f"Planning and preprocessing, which are not counted: {', '.join(plans)}."] if plans else [])


def _best(names: Sequence[str], groups: Groups) -> dict[str, float]:
    """The best mean of each score."""
    means = {name: [values(group, name).mean() for group in groups.values()] for name in names}
    return {name: (max if HIGHER.get(name, True) else min)(found) for name, found in means.items()}


def _plans(group: Sequence[Row]) -> bool:
    return any(row["plan_s"] > 0 for row in group)


def _score(found: np.ndarray, best: float) -> str:
    mean = f"**{found.mean():.3f}**" if found.mean() == best else f"{found.mean():.3f}"
    return f"{mean} ({found.min():.3f} to {found.max():.3f})" if len(found) > 1 else mean


def draw_bars(groups: Groups, path: Path) -> None:
    """A picture with a bar for each system and score; the dots are the seeds."""
    import matplotlib
    from matplotlib.figure import Figure

    shown = measures(groups)
    labels = [NAMES.get(system, system) for system in groups]
    colours = [OWN_COLOUR if system == "kseg" else PEER_COLOUR for system in groups]
    places = np.arange(len(groups))
    with matplotlib.rc_context({"svg.hashsalt": "kseg", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(2.6 * len(shown) + 1.2, 0.4 * len(groups) + 0.9), layout="constrained")
        for index, (axes, name) in enumerate(zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True)):
            found = [values(group, name) for group in groups.values()]
            axes.barh(places, [one.mean() for one in found], color=colours)
            for place, one in zip(places, found, strict=True):
                axes.plot(one, [place] * len(one), ".", color=SEED_COLOUR, markersize=3)
                right = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"}
                axes.annotate(f"{one.mean():.3f}", (one.max(), place), **right)
            axes.set_title(TITLES[name], fontsize=8)
            axes.set_yticks(places, labels if index == 0 else [""] * len(labels))
            axes.invert_yaxis()
            axes.set_xlim(0, 1.25 * max(max(one.max() for one in found), 1e-3))
            axes.spines[["top", "right"]].set_visible(False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})


def draw_curves(groups: Groups, path: Path) -> None:
    """A picture with a line for each training: the measure on val that chose the network, over the steps."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "kseg", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(6, 3), layout="constrained")
        axes = figure.subplots()
        for number, (arm, group) in enumerate(groups.items()):
            for index, row in enumerate(group):
                steps, scores = zip(*row["curve"], strict=True)
                axes.plot(steps, scores, color=f"C{number}", label=None if index else arm)
        axes.set_xlabel("step")
        axes.set_ylabel("on val")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})


Section = Callable[[Path, Path], str]
SECTIONS: Sequence[tuple[str, str, Section]] = (
    ("own-data-*.json", OWN_DATA, own_data_section),
    ("studies-*.json", STUDIED, studies_section),
)
"""The files of each kind of results, the text before them, and what makes a section of one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.draw_results", description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder of the files")
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder of the page")
    given = parser.parse_args(arguments)
    print(write_page(given.results, given.docs))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
