"""Numbers as text for a reader: scores, shares, durations."""

from __future__ import annotations


def in_figures(value: float | None) -> str:
    """A score with three digits after the point, with six if it is below 0.01; None or NaN is a dash."""
    if value is None or value != value:
        return "-"
    return f"{value:.6f}" if 0 < abs(value) < 0.01 else f"{value:.3f}"


def in_share(value: float) -> str:
    """A share, such as an IU, with three digits after the point; NaN is a dash."""
    return "-" if value != value else f"{value:.3f}"


def clock(seconds: float) -> str:
    """Seconds as 0:05, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
