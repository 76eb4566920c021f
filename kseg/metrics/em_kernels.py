"""The loops of kseg.metrics.em, compiled by numba: flooding, overlaps, warping, counting of wrong pixels.

Each array is one slice, transposed, with a border of one pixel. The official code scans column by column, which is the
order in memory of a transposed slice. The border makes tests for the image's edge needless. A pixel is given by its
flat index; the offsets -width, -1, +width and +1 are the official left, up, right and down.
"""

from __future__ import annotations

import numpy as np

from kseg.instances.flood import compiled

UNSEEN, QUEUED, OUTSIDE = -2, -3, -4
RADIUS = 20
"""A split is searched within this distance of the pixel, along each axis, pixels."""


def _simple_points() -> np.ndarray:
    """Whether the centre of a 3 x 3 patch is simple: it can change its colour without joining or cutting anything.

    Returns:
      (512,) bool; bit k of the index is pixel k of the patch, row by row. Cells are 4-connected and membrane is
      8-connected; then the centre is simple if Yokoi's connectivity number is 1.
    """
    code = np.arange(512)
    ring = [code >> bit & 1 for bit in (1, 2, 5, 8, 7, 6, 3, 0)]
    joins = [ring[k] - ring[k] * ring[k + 1] * ring[(k + 2) % 8] for k in (0, 2, 4, 6)]
    return np.sum(joins, axis=0) == 1


SIMPLE = _simple_points()


@compiled
def flood(segments):
    """Grows `segments` over the membrane, in place, until a line of about one pixel remains.

    This is Vincent and Soille's flooding with one level, as in the official code. The order of the queue, the order of
    the neighbours, and the one flag for all pixels each influence the result.

    Args:
      segments: (H, W) int32, 1.. the white regions, 0 black; afterwards 1.. the basins, 0 the line. The border becomes
        OUTSIDE.
    """
    height, width = segments.shape
    lab = segments.reshape(-1)
    segments[0, :], segments[-1, :], segments[:, 0], segments[:, -1] = OUTSIDE, OUTSIDE, OUTSIDE, OUTSIDE
    queue = np.empty(lab.size, np.int32)
    end = 0
    lab[lab == 0] = UNSEEN
    for pixel in range(width, lab.size - width):
        if lab[pixel] == UNSEEN and (
            lab[pixel - width] > 0 or lab[pixel - 1] > 0 or lab[pixel + width] > 0 or lab[pixel + 1] > 0
        ):
            lab[pixel] = QUEUED
            queue[end] = pixel
            end += 1
    if end == 0 and lab[width + 1] == UNSEEN:  # no white region at all: one basin
        segments[1:-1, 1:-1] = 1
        return
    flag = False
    start = 0
    while start < end:
        pixel = queue[start]
        start += 1
        own = lab[pixel]
        for step in (-width, -1, width, 1):
            other = lab[pixel + step]
            if other > 0:
                if own == QUEUED or (own == 0 and flag):
                    own = other
                elif own > 0 and own != other:
                    own = 0
                    flag = False
            elif other == 0:
                if own == QUEUED:
                    own = 0
                    flag = True
            elif other == UNSEEN:
                lab[pixel + step] = QUEUED
                queue[end] = pixel + step
                end += 1
        lab[pixel] = own


def group_by_cell(cells):
    """The pixels of all true cells, sorted by cell.

    Args:
      cells: (H, W) int32, 0 membrane, 1..K one number per cell.

    Returns:
      (n,) int32 pixels; and (K + 1,) int64, where entry i - 1 is the first pixel of cell i, and entry i its end.
    """
    flat = cells.ravel()
    pixels = np.flatnonzero(flat)
    pixels = pixels[np.argsort(flat[pixels], kind="stable")]
    return pixels.astype(np.int32), np.searchsorted(flat[pixels], np.arange(1, cells.max() + 2))


@compiled
def overlaps(pixels, starts, segments, count):
    """The sums of squares and of p log p for the Rand and the information measures.

    The cells are handled one by one, so that only one row of the table of overlaps is in memory. With noise, the whole
    table of cells times segments would be too large.

    Args:
      pixels, starts: the results of `group_by_cell`.
      segments: (H, W) int32, 1..count; 0 for no segment: each such pixel counts as an object of its own.
      count: the number of segments.

    Returns:
      Six numbers: S_AB, S_B, S_A in pixel pairs, then s_AB, s_B, s_A in nats, all <= 0.
    """
    flat = segments.reshape(-1)
    n = pixels.size
    common, total = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)
    met = np.empty(count + 1, np.int64)
    pairs = np.zeros(3, np.int64)
    nats = np.zeros(3, np.float64)
    alone = 0
    for cell in range(starts.size - 1):
        kinds = 0
        for pixel in pixels[starts[cell] : starts[cell + 1]]:
            segment = flat[pixel]
            if common[segment] == 0:
                met[kinds] = segment
                kinds += 1
            common[segment] += 1
        for segment in met[:kinds]:
            area = common[segment]
            common[segment] = 0
            if segment == 0:
                alone += area
            else:
                total[segment] += area
                pairs[0] += area * area
                nats[0] += area / n * np.log(area / n)
        area = starts[cell + 1] - starts[cell]
        pairs[2] += area * area
        nats[2] += area / n * np.log(area / n)
    for area in total:
        if area > 0:
            pairs[1] += area * area
            nats[1] += area / n * np.log(area / n)
    lone_nats = alone / n * np.log(n) if alone > 0 else 0.0
    return pairs[0] + alone, pairs[1] + alone, pairs[2], nats[0] - lone_nats, nats[1] - lone_nats, nats[2]


@compiled
def warp(white, wrong):
    """Flips simple points of `white`, in place, until none of the wrong pixels is simple.

    Args:
      white: (H, W) uint8, 0 or 1, the label; afterwards the warped label.
      wrong: (n,) int64, the pixels that differ from the prediction, in the order in which they are tried; overwritten.

    Returns:
      (m,) int64, the pixels that stay wrong, in the same order.
    """
    height, width = white.shape
    flat = white.reshape(-1)
    count = wrong.size
    while True:
        kept = 0
        for pixel in wrong[:count]:
            above, below = pixel - width, pixel + width
            code = flat[above - 1] | flat[above] << 1 | flat[above + 1] << 2
            code |= flat[pixel - 1] << 3 | flat[pixel + 1] << 5
            code |= flat[below - 1] << 6 | flat[below] << 7 | np.int64(flat[below + 1]) << 8
            if SIMPLE[code]:
                flat[pixel] ^= 1
            else:
                wrong[kept] = pixel  # never beyond the entry that is being read
                kept += 1
        if kept == count:
            return wrong[:kept]
        count = kept


@compiled
def mergers_and_splits(segments, wrong):
    """The numbers of wrong pixels that join two segments, and that cut one.

    Args:
      segments: (H, W) int32, the 4-connected components of the warped label, 0 black.
      wrong: (n,) int64, the pixels that stayed wrong.

    Returns:
      Two numbers: the black pixels with two or more segments among their eight neighbours, and the white pixels without
      which their neighbours are no longer connected within the window.
    """
    width = segments.shape[1]
    flat = segments.reshape(-1)
    ring = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1])
    seen = np.zeros(flat.size, np.int32)
    queue = np.empty(flat.size, np.int64)
    mergers = splits = 0
    for turn, pixel in enumerate(wrong):
        if flat[pixel] > 0:
            splits += _falls_apart(segments, pixel, ring, seen, turn + 1, queue)
            continue
        first = 0
        for step in ring:
            other = flat[pixel + step]
            if other > 0 and first == 0:
                first = other
            elif other > 0 and other != first:
                mergers += 1
                break
    return mergers, splits


@compiled
def _falls_apart(segments, centre, ring, seen, turn, queue):
    """Whether the white neighbours of a white pixel are no longer connected without it, within the window.

    `seen` holds the turn in which each pixel was last reached, so it is not cleared between turns.
    """
    height, width = segments.shape
    flat = segments.reshape(-1)
    row, column = centre // width, centre % width
    top, left, bottom, right = 1, 1, height - 2, width - 2
    if min(height, width) - 2 >= RADIUS:  # else the official code uses the whole image
        top, left = max(top, row - RADIUS), max(left, column - RADIUS)
        bottom, right = min(bottom, row + RADIUS), min(right, column + RADIUS)
    missing = 0
    start = end = 0
    for step in ring:
        if flat[centre + step] > 0:
            missing += 1
            queue[0] = centre + step
            end = 1
    seen[centre] = turn
    if end:
        seen[queue[0]] = turn
    while start < end:
        pixel = queue[start]
        start += 1
        here_row, here_column = pixel // width, pixel % width
        if abs(here_row - row) <= 1 and abs(here_column - column) <= 1:
            missing -= 1
            if missing == 0:
                return False
        for step, inside in (
            (-width, here_row > top),
            (width, here_row < bottom),
            (-1, here_column > left),
            (1, here_column < right),
        ):
            other = pixel + step
            if inside and flat[other] > 0 and seen[other] != turn:
                seen[other] = turn
                queue[end] = other
                end += 1
    return missing > 0
