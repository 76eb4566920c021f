"""A web page in one file of HTML, with headings, tables and pictures.

It adapts to a light or dark screen and to a phone, where wide parts scroll within their own frames, and it can be
printed.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from kseg.formats import in_figures, in_share

_LOOK = """
:root { color-scheme: light dark; --line: #8885; --soft: #8881; --mark: 31, 119, 180 }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.6rem; margin: .5rem 0 } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem }
.frame { overflow-x: auto; margin: .5rem 0 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
caption { text-align: left; padding: .2rem 0; font-weight: 600 }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
td.number, th.number { text-align: right }
td.number { white-space: nowrap }
table.shaded th, table.shaded td { padding: .15rem .4rem; border: 1px solid var(--line); text-align: right }
table.shaded th:first-child { text-align: left; white-space: nowrap }
meter { width: 8rem }
figure { margin: .5rem 0 1rem } figcaption { font-size: .9rem }
img { display: block; height: auto; max-width: 100%; background: #fff; border-radius: 4px }
img.wide { min-width: min(56rem, 200vw, var(--own)) }
pre { padding: .7rem; background: var(--soft); border-radius: 4px; white-space: pre-wrap; overflow-wrap: anywhere }
.warning { border-left: 4px solid #d80; padding: .3rem .8rem; background: var(--soft) }
summary { cursor: pointer }
.key span { display: inline-block; margin-right: 1rem; white-space: nowrap }
.key i { display: inline-block; width: 1.4rem; height: .9rem; margin-right: .4rem; border: 1px solid #888 }
.key i, td { print-color-adjust: exact }
@media print {
  img.wide { min-width: 0 } .frame { overflow: visible }
  h2 { break-after: avoid } tr, figure { break-inside: avoid }
}
""".strip()


def page(title: str, *parts: str) -> str:
    """The whole page; its parts are results of the functions below."""
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_LOOK}\n</style>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(part for part in parts if part)
        + "\n</html>\n"
    )


def section(heading: str, *parts: str) -> str:
    """A heading and the parts below it; empty if there are no parts."""
    inside = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(heading)}</h2>\n{inside}\n</section>" if inside else ""


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def warning(text: str) -> str:
    """A paragraph with a coloured edge."""
    return f'<p class="warning">{escape(text)}</p>'


def listing(text: str) -> str:
    """Text in a fixed-width font: commands, a configuration."""
    return f"<pre>{escape(text)}</pre>"


def folded(summary: str, *parts: str) -> str:
    """Parts that appear when `summary` is clicked."""
    inside = "\n".join(parts)
    return f"<details>\n<summary>{escape(summary)}</summary>\n{inside}\n</details>"


def table(head: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str = "") -> str:
    """A table; numbers are aligned right, scores have three digits after the point, None and NaN are a dash."""
    if not rows:
        return ""
    is_number = [any(isinstance(row[column], float | int) for row in rows) for column in range(len(rows[0]))]
    kinds = [' class="number"' if number else "" for number in is_number]
    lines = [f"<caption>{escape(caption)}</caption>"] if caption else []
    if any(head):
        cells = "".join(f"<th{kind}>{escape(text)}" for text, kind in zip(head, kinds, strict=True))
        lines.append(f"<tr>{cells}")
    for row in rows:
        cells = "".join(f"<td{kind}>{escape(_cell(value))}" for value, kind in zip(row, kinds, strict=True))
        lines.append(f"<tr>{cells}")
    return _framed(lines)


def bars(head: Sequence[str], values: Mapping[str, float]) -> str:
    """A table of shares, 0..1, each with a bar; NaN is a dash without a bar."""
    lines = ["<tr>" + f"<th>{escape(head[0])}<th>" + f'<th class="number">{escape(head[1])}']
    for name, value in values.items():
        bar = "" if value != value else f'<meter value="{value:.4f}"></meter>'
        lines.append(f'<tr><td>{escape(name)}<td>{bar}<td class="number">{in_share(value)}')
    return _framed(lines)


def shaded(names: Sequence[str], counts: np.ndarray, *, caption: str = "") -> str:
    """A confusion matrix as a table of each row's shares; larger shares are darker.

    Args:
      names: the names of the K classes.
      counts: (K, K) integers, rows truth.
      caption: the text above the table.
    """
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    head = "".join(f'<th title="{escape(name)}">{number}' for number, name in enumerate(names))
    lines = [f"<caption>{escape(caption)}</caption>", f"<tr><th>true \\ found{head}<th>pixels"]
    for number, (name, row) in enumerate(zip(names, shares, strict=True)):
        cells = "".join(_shade(value, f"{name} as {names[column]}") for column, value in enumerate(row.tolist()))
        lines.append(f"<tr><th>{number} {escape(name)}{cells}<td>{int(totals[number, 0]):,}")
    return _framed(lines, ' class="shaded"')


def key(colours: Mapping[str, Sequence[int] | None]) -> str:
    """Names beside their colours (red, green, blue, 0..255 each); an empty box for None."""
    boxes = []
    for name, colour in colours.items():
        look = f' style="background:rgb({colour[0]},{colour[1]},{colour[2]})"' if colour else ""
        boxes.append(f"<span><i{look}></i>{escape(name)}</span>")
    return f'<p class="key">{" ".join(boxes)}</p>'


def picture(png: bytes, caption: str, *, wide: bool = False) -> str:
    """A picture with a caption below; a `wide` one scrolls on a phone, and is not made as small as its screen."""
    data = base64.b64encode(png).decode()
    own = int.from_bytes(png[16:20], "big")  # the width in pixels, from the header of PNG
    kind = f' class="wide" style="--own:{own}px"' if wide else ""
    words = escape(caption)
    return (
        f'<figure><div class="frame"><img{kind} alt="{words}" src="data:image/png;base64,{data}"></div>'
        f"<figcaption>{words}</figcaption></figure>"
    )


def _framed(lines: Sequence[str], kind: str = "") -> str:
    return f'<div class="frame"><table{kind}>\n' + "\n".join(lines) + "\n</table></div>"


def _shade(share: float, words: str) -> str:
    if share != share:
        return "<td>"
    shown = "" if share < 0.0005 else f"{100 * share:.1f}"
    return f'<td title="{escape(words)}" style="background:rgba(var(--mark),{0.75 * share:.2f})">{shown}'


def _cell(value: object) -> str:
    if value is None or isinstance(value, float):
        return in_figures(value)
    return f"{value:,}" if isinstance(value, int) else str(value)
