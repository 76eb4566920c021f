"""What a check found, as text: the findings by kind, and how to mend each kind."""

from __future__ import annotations

from collections.abc import Sequence

from kseg.check.checked import Checked
from kseg.check.finding import KINDS, Finding
from kseg.errors import Spelling

MOST_LINES, MOST_FIXES = 5, 3


def in_words(checked: Checked, spelling: Spelling = str, copy: str = "write_copy", listing: str = "to_json") -> str:
    """How many images were read, and for each kind of finding at most five lines and how to mend them.

    Args:
      checked: what was found.
      spelling: writes the settings.
      copy: the name of what writes the corrected copy.
      listing: the name of what lists all findings.
    """
    parts = ", ".join(f"{split} {count:,}" for split, count in checked.splits.items() if split)
    images = f"{sum(checked.splits.values()):,} images with a label" + (f" ({parts})" if parts else "")
    count = "nothing wrong" if checked.is_all_read else "nothing wrong in what was looked at"
    if checked.findings:
        count = f"{len(checked.findings):,} finding{'s' * (len(checked.findings) > 1)}"
    blocks = [f"{checked.root or checked.name}: {images}, {count}{_shapes(checked)}"]
    for kind in dict.fromkeys(finding.kind for finding in checked.findings):
        same = [finding for finding in checked.findings if finding.kind == kind]
        advice = dict.fromkeys(finding.advice(spelling, copy) for finding in same)
        blocks.append("\n".join([*_lines(same, listing), *(f"  fix: {fix}" for fix in list(advice)[:MOST_FIXES])]))
    return "\n\n".join(filter(None, [*blocks, "\n".join(checked.remarks(spelling))]))


def _shapes(checked: Checked) -> str:
    """A line on images that are neither grey nor colour, or stacks."""
    pages = [len(one.image.pages) for one in checked.pairs if one.image.pages]
    channels = sorted({page.shape[2] for one in checked.pairs for page in one.image.pages})
    words = [f"{' or '.join(map(str, channels))} channels each"] if set(channels) - {1, 3} else []
    words += [f"{sum(pages):,} slices in {len(pages):,} files"] if sum(pages) > len(pages) else []
    return f"\nimages: {', '.join(words)}" if words else ""


def _lines(same: Sequence[Finding], listing: str) -> list[str]:
    """A heading and the findings of one kind."""
    lines = [f"{KINDS[same[0].kind]} ({len(same):,})", *(f"  {finding}" for finding in same[:MOST_LINES])]
    more = len(same) - MOST_LINES
    return [*lines, f"  ... and {more:,} more; {listing} names all"] if more > 0 else lines
