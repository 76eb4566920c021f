"""Depth as an image of three channels: disparity, height above ground, angle with gravity.

Source: Gupta, Girshick, Arbelaez, Malik, ECCV 2014; constants and their order as in its release
(github.com/s-gupta/rcnn-depth). The images equal those of the release for NYUDv2 within a grey level. Only the angle
differs where fewer than eight pixels of its window were measured; there it is rounding noise in the release too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

from kseg.images import read_image, write_image
from kseg.storage import cache_folder

FORM = 1
ANGLE_RADIUS, GRAVITY_RADIUS = 3, 10
# For each round: the angle, degrees, within which a normal counts as that of a floor or a wall.
ROUNDS = (45.0,) * 5 + (15.0,) * 5
# Centimetres below the camera. A lowest point above the first is no floor; then the floor is taken to be at the second.
FLOOR_SEEN, FLOOR_ASSUMED = 90.0, 130.0


@dataclass(frozen=True)
class Camera:
    """Focal lengths and centre, pixels. Pixels are counted from 1, as in MATLAB."""

    fx: float
    fy: float
    cx: float
    cy: float

    def cropped(self, row: int, column: int) -> Camera:
        """The camera of the image that begins at this row and column."""
        return Camera(self.fx, self.fy, self.cx - column, self.cy - row)


def cached_hha(depth: np.ndarray, raw: np.ndarray, camera: Camera) -> np.ndarray:
    """`encode_hha`, kept as a PNG in the cache folder, named by the digest of its arguments."""
    digest = hashlib.sha256(f"{FORM} {camera} {depth.shape} {depth.dtype} {raw.dtype}".encode())
    digest.update(depth.tobytes() + raw.tobytes())
    path = cache_folder() / "hha" / f"{digest.hexdigest()[:32]}.png"
    if not path.is_file():
        write_image(path, encode_hha(depth, raw, camera))
    return read_image(path)


def encode_hha(depth: np.ndarray, raw: np.ndarray, camera: Camera) -> np.ndarray:
    """Disparity, height above ground and angle with gravity.

    Args:
      depth: (H, W) metres, > 0, holes filled.
      raw: (H, W) as measured; 0 where nothing was measured, and those pixels do not count for the surface.
      camera: of these images.

    Returns:
      (H, W, 3) uint8: 31,000 / depth in cm, which is at least 100; cm above the lowest point; degrees + 38, so that a
      floor is 38, a wall 128, and a ceiling 218, as is what is not known.
    """
    z = depth.astype(np.float64) * 100
    points = _points(z, camera)
    fields = _fields(points, (raw != 0) & (depth > 0))
    gravity = _gravity(_normals(fields, points, GRAVITY_RADIUS))
    height = -points @ _rotation(gravity)[:, 1]
    lowest = height.min()
    height -= lowest if lowest <= -FLOOR_SEEN else -FLOOR_ASSUMED
    cosine = np.clip(_normals(fields, points, ANGLE_RADIUS) @ gravity, -1, 1)
    angle = np.nan_to_num(np.degrees(np.arccos(cosine)), nan=180.0)
    channels = np.stack([31000 / np.maximum(z, 100), height, angle + 38], axis=-1)
    return np.rint(channels).clip(0, 255).astype(np.uint8)


def _points(z: np.ndarray, camera: Camera) -> np.ndarray:
    """(H, W, 3) cm: right, down, forward."""
    rows, columns = np.indices(z.shape, np.float64)
    return np.stack([(columns + 1 - camera.cx) / camera.fx * z, (rows + 1 - camera.cy) / camera.fy * z, z], axis=-1)


def _fields(points: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(9, H, W): terms of the least squares n . (x, y, 1) = 1 / Z with x = X / Z, y = Y / Z; 0 at unknown pixels."""
    z = np.where(points[..., 2] > 0, points[..., 2], np.inf)
    x, y, inverse = points[..., 0] / z, points[..., 1] / z, 1 / z
    terms = np.stack([x * x, x * y, x, y * y, y, np.ones_like(x), x * inverse, y * inverse, inverse])
    return terms * known


def _normals(fields: np.ndarray, points: np.ndarray, radius: int) -> np.ndarray:
    """(H, W, 3): unit normals, away from the camera, of the plane in each window of 2 radius + 1; NaN where unknown."""
    size = (2 * radius + 1, 2 * radius + 1)
    sums = [cv2.boxFilter(field, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT) for field in fields]
    xx, xy, x, yy, y, count, bx, by, b = sums
    # The cofactors are enough, since the determinant only scales the normal.
    normal = np.stack(
        [
            (yy * count - y * y) * bx + (x * y - xy * count) * by + (xy * y - x * yy) * b,
            (x * y - xy * count) * bx + (xx * count - x * x) * by + (xy * x - xx * y) * b,
            (xy * y - x * yy) * bx + (xy * x - xx * y) * by + (xx * yy - xy * xy) * b,
        ],
        axis=-1,
    )
    normal[np.rint(count) == 0] = np.nan  # the running sums of an empty window are not exactly 0
    with np.errstate(invalid="ignore", divide="ignore"):
        normal /= np.sqrt((normal * normal).sum(axis=-1, keepdims=True))
    normal[normal[..., 2] < 0] *= -1
    normal[(normal * points).sum(axis=-1) < 0] *= -1
    return normal


def _gravity(normals: np.ndarray) -> np.ndarray:
    """(3,): the unit direction down, parallel to the normals of floors and at right angles to those of walls."""
    votes = normals[~np.isnan(normals[..., 0])]
    down = np.array([0.0, 1.0, 0.0])
    for degrees in ROUNDS if len(votes) else ():
        along = np.abs(votes @ down)
        floors = votes[along > np.cos(np.radians(degrees))]
        walls = votes[along < np.sin(np.radians(degrees))]
        direction = np.linalg.eigh(walls.T @ walls - floors.T @ floors)[1][:, 0]
        down = direction if direction @ down > 0 else -direction
    return down


def _rotation(down: np.ndarray) -> np.ndarray:
    """(3, 3): the rotation that turns (0, 1, 0) to `down`; none for 0.1 degree or less."""
    axis = np.cross([0.0, 1.0, 0.0], down)
    sine = np.linalg.norm(axis)
    angle = np.arctan2(sine, down[1])
    if np.degrees(angle) <= 0.1:
        return np.eye(3)
    x, y, z = axis / sine
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
