"""Depth as three images that a network of pictures can read: disparity, height above ground, angle with gravity.

Source: Gupta, Girshick, Arbelaez, Malik, ECCV 2014; constants and their order as in its release
(github.com/s-gupta/rcnn-depth), whose images of NYUDv2 these equal within a grey level, except for the angle where
fewer than eight pixels of its window have been measured: there it is rounding noise in the release too.
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
# Degrees within which a normal speaks for the direction, and for how many rounds.
ROUNDS = (45.0,) * 5 + (15.0,) * 5
# Centimetres: a floor less than this below the camera is not in view, and is taken to lie at the second.
FLOOR_SEEN, FLOOR_ASSUMED = 90.0, 130.0


@dataclass(frozen=True)
class Camera:
    """Focal lengths and centre, pixels; pixels are counted from 1, as MATLAB does."""

    fx: float
    fy: float
    cx: float
    cy: float

    def cropped(self, row: int, column: int) -> Camera:
        """The camera of what is left where so many rows and columns are cut off before it."""
        return Camera(self.fx, self.fy, self.cx - column, self.cy - row)


def cached_hha(depth: np.ndarray, raw: np.ndarray, camera: Camera) -> np.ndarray:
    """`encode_hha`, kept as a PNG in the cache folder under the digest of what it is made of."""
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
      raw: (H, W) as measured, 0 where nothing was: those pixels say nothing about the surface around them.
      camera: of these images.

    Returns:
      (H, W, 3) uint8: 31,000 / cm, no nearer than 1 m; cm above the lowest point; degrees + 38, which makes a floor
      38, a wall 128 and both a ceiling and the unknown 218.
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
    """(9, H, W): the terms of the least squares n . (x, y, 1) = 1 / Z over the known pixels, x = X / Z, y = Y / Z."""
    z = np.where(points[..., 2] > 0, points[..., 2], np.inf)
    x, y, inverse = points[..., 0] / z, points[..., 1] / z, 1 / z
    terms = np.stack([x * x, x * y, x, y * y, y, np.ones_like(x), x * inverse, y * inverse, inverse])
    return terms * known


def _normals(fields: np.ndarray, points: np.ndarray, radius: int) -> np.ndarray:
    """(H, W, 3) unit normals, away from the camera, of planes in windows of 2 radius + 1; NaN where all is unknown."""
    size = (2 * radius + 1, 2 * radius + 1)
    sums = [cv2.boxFilter(field, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT) for field in fields]
    xx, xy, x, yy, y, count, bx, by, b = sums
    # The cofactors alone: the determinant only scales the normal.
    normal = np.stack(
        [
            (yy * count - y * y) * bx + (x * y - xy * count) * by + (xy * y - x * yy) * b,
            (x * y - xy * count) * bx + (xx * count - x * x) * by + (xy * x - xx * y) * b,
            (xy * y - x * yy) * bx + (xy * x - xx * y) * by + (xx * yy - xy * xy) * b,
        ],
        axis=-1,
    )
    normal[np.rint(count) == 0] = np.nan  # running sums leave a residue where nothing was added
    with np.errstate(invalid="ignore", divide="ignore"):
        normal /= np.sqrt((normal * normal).sum(axis=-1, keepdims=True))
    normal[normal[..., 2] < 0] *= -1
    normal[(normal * points).sum(axis=-1) < 0] *= -1
    return normal


def _gravity(normals: np.ndarray) -> np.ndarray:
    """(3,) the unit direction down: along the normals of floors and across those of walls."""
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
    """(3, 3) the rotation that turns (0, 1, 0) to `down`; none within 0.1 degree."""
    axis = np.cross([0.0, 1.0, 0.0], down)
    sine = np.linalg.norm(axis)
    angle = np.arctan2(sine, down[1])
    if np.degrees(angle) <= 0.1:
        return np.eye(3)
    x, y, z = axis / sine
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
