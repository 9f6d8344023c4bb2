"""Soft masks of shapes in a plane: how much of each pixel a shape covers, from distances in mm.

Analytic, so that an area that grows by a hundredth of a pixel is seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Node = tuple[float, float, float]
"""(x, y, radius) of a tube's centre line, mm."""


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Where the pixels of a slice lie, in the patient's own millimetres.

    Attributes:
        x: (h, w) from the midline to the patient's right.
        y: (h, w) to superior or anterior.
        pixel_mm: edge of a pixel.
    """

    x: Floats
    y: Floats
    pixel_mm: float

    def mirrored(self) -> "Plane":
        """The plane whose right is the other's left."""
        return Plane(-self.x, self.y, self.pixel_mm)

    def inside(self, distance: Floats) -> Floats:
        """(h, w) share of each pixel within a shape, by signed distance, negative inside."""
        return np.asarray(np.clip(np.float32(0.5) - distance / np.float32(self.pixel_mm), 0, 1))

    def strip(self, distance: Floats, half_width: Floats | float) -> Floats:
        """(h, w) share of each pixel within `half_width` of a line; true of the thinnest lines."""
        narrow = np.asarray(half_width, np.float32)
        return np.asarray(self.inside(distance - narrow) - self.inside(distance + narrow))


def ellipse(
    plane: Plane, center: tuple[float, float], axes: tuple[float, float], tilt: float = 0.0
) -> Floats:
    """(h, w) signed distance to an ellipse, exact at its edge to first order.

    Args:
        plane: the pixels.
        center: x and y, mm.
        axes: half axes, mm.
        tilt: radians by which the first axis is turned towards y.
    """
    x, y = plane.x - np.float32(center[0]), plane.y - np.float32(center[1])
    cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    a, b = (cos * x + sin * y) / np.float32(axes[0]), (cos * y - sin * x) / np.float32(axes[1])
    near = np.sqrt(a * a + b * b) + np.float32(1e-6)
    slope = np.sqrt((a / np.float32(axes[0])) ** 2 + (b / np.float32(axes[1])) ** 2)
    return np.asarray(near * (near - 1) / (slope + np.float32(1e-6)))


def tube(plane: Plane, nodes: Sequence[Node]) -> tuple[Floats, Floats]:
    """(h, w) distance to a bent centre line, and the tube's radius at the nearest point."""
    distance = np.full(plane.x.shape, np.inf, np.float32)
    radius = np.zeros_like(distance)
    for (x0, y0, r0), (x1, y1, r1) in pairwise(nodes):
        dx, dy = x1 - x0, y1 - y0
        x, y = plane.x - np.float32(x0), plane.y - np.float32(y0)
        along = (x * np.float32(dx) + y * np.float32(dy)) / np.float32(dx * dx + dy * dy)
        along = np.clip(along, 0, 1)
        away = np.hypot(x - along * np.float32(dx), y - along * np.float32(dy))
        local = np.float32(r0) + along * np.float32(r1 - r0)
        is_nearer = away - local < distance - radius
        distance = np.where(is_nearer, away, distance)
        radius = np.where(is_nearer, local, radius)
    return distance, radius


def swollen(nodes: Sequence[Node], growth: float, outward: float = 0.0) -> list[Node]:
    """The tube widened until its area is `growth` times as large.

    Args:
        nodes: the tube.
        growth: area after by area before.
        outward: how far it moves to larger x, as a share of what its radius gains.

    Source:
        Area of a tube of mean radius r and length l: 2 r l, and half a disc at either end.
    """
    lengths = [float(np.hypot(x1 - x0, y1 - y0)) for (x0, y0, _), (x1, y1, _) in pairwise(nodes)]
    widths = [r0 + r1 for (_, _, r0), (_, _, r1) in pairwise(nodes)]
    body = sum(width * n for width, n in zip(widths, lengths, strict=True))
    ends = np.pi / 2 * (nodes[0][2] ** 2 + nodes[-1][2] ** 2)
    wanted = growth * (body + ends)
    wider = float((np.sqrt(body**2 + 4 * ends * wanted) - body) / (2 * ends))
    return [(x + outward * (wider - 1) * r, y, r * wider) for x, y, r in nodes]


def painted(picture: Floats, mask: Floats, shade: float) -> Floats:
    """The picture with a tissue laid over it."""
    return np.asarray(picture + mask * (np.float32(shade) - picture))
