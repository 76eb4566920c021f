"""A check in words: the findings by kind, and the command that goes on."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from kseg.check.finding import KINDS, Finding
from kseg.check.folder import Checked

MOST_LINES, MOST_FIXES = 5, 3


def in_words(checked: Checked) -> str:
    """How much was looked at, and for each kind of finding its lines, five at most, and how to mend them."""
    parts = ", ".join(f"{split} {count:,}" for split, count in checked.splits.items() if split)
    images = f"{sum(checked.splits.values()):,} images with a label" + (f" ({parts})" if parts else "")
    count = "nothing wrong"
    if checked.findings:
        count = f"{len(checked.findings):,} finding{'s' * (len(checked.findings) > 1)}"
    kinds = dict.fromkeys(finding.kind for finding in checked.findings)
    blocks = [_block([finding for finding in checked.findings if finding.kind == kind]) for kind in kinds]
    unread = any(note.startswith("not looked at") for note in checked.notes)
    count += " in what was looked at" if unread and not checked.findings else ""
    head = f"{checked.root or checked.name}: {images}, {count}{_shapes(checked)}"
    return "\n\n".join([head, *blocks, *(["\n".join(checked.notes)] if checked.notes else [])])


def _shapes(checked: Checked) -> str:
    """A line on what the images are, where they are neither grey nor colour, or stacks: as their files say it."""
    pages = [len(one.image.pages) for one in checked.seen if one.image.pages]
    channels = sorted({page.shape[2] for one in checked.seen for page in one.image.pages})
    words = [f"{' or '.join(map(str, channels))} channels each"] if set(channels) - {1, 3} else []
    words += [f"{sum(pages):,} slices in {len(pages):,} files"] if sum(pages) > len(pages) else []
    return f"\nimages: {', '.join(words)}" if words else ""


def _block(same: Sequence[Finding]) -> str:
    """The findings of one kind."""
    lines = [f"{KINDS[same[0].kind]} ({len(same):,})", *(f"  {finding}" for finding in same[:MOST_LINES])]
    if len(same) > MOST_LINES:
        lines.append(f"  ... and {len(same) - MOST_LINES:,} more; --json FILE names all")
    fixes = list(dict.fromkeys(finding.fix for finding in same))[:MOST_FIXES]
    return "\n".join([*lines, *(f"  fix: {fix}" for fix in fixes)])


def next_command(checked: Checked, data_dir: str, settings: Mapping[str, str], copy: str | None) -> str | None:
    """The words that go on from a check: write the corrected copy, or train on it, or see what is
    still wrong there; None where nothing is to be mended.

    Args:
      checked: what was found.
      data_dir, settings: as they were passed.
      copy: the corrected copy, where it was written.
    """
    mendable = [finding.mendable for finding in checked.findings]
    nothing_left = not sum(checked.splits.values()) or checked.seen and all(one.left_out for one in checked.seen)
    if not any(mendable) or checked.name != "folder" or nothing_left:
        return None
    if copy:
        settings = {**settings, **checked.judgement.settings}
    words = "".join(f" --set {shlex.quote(f'{key}={value}')}" for key, value in settings.items())
    if copy:
        verb = "train" if all(mendable) else "data check"
        return f"{verb} --dataset folder --data-dir {shlex.quote(copy)}{words}"
    name = shlex.quote(f"{Path(data_dir).resolve().name}-mended")
    return f"data check --dataset folder --data-dir {shlex.quote(data_dir)}{words} --fix {name}"
