"""Coronal and axial slices of a head from its atrophy: tissues as shades, before any scanner.

Rows of a `Plane` run from superior (coronal) or anterior (axial); shades are those of a T1 image,
0 air to 1 white. Where masks meet, the later one is laid over the earlier one.
"""

from dataclasses import dataclass

import numpy as np

from learner_index.data.simulate.brain_anatomy import Anatomy, Folds
from learner_index.data.simulate.brain_course import (
    cortical_thickness,
    hippocampal_area,
    ventricular_area,
)
from learner_index.data.simulate.brain_shapes import (
    Floats,
    Node,
    Plane,
    ellipse,
    painted,
    swollen,
    tube,
)

AIR, BONE, CSF, GREY, WHITE, FAT = 0.0, 0.05, 0.13, 0.55, 0.84, 0.92
_DEEP, _HIPPOCAMPUS, _MUSCLE = 0.64, 0.56, 0.42

_CORTEX_MM = 3.8
_SULCUS_MM, _SULCUS_GAIN_MM = 0.35, 1.25  # half width before and what atrophy adds
_SPACE_MM, _SPACE_GAIN_MM = 0.8, 2.4  # between brain and skull, likewise
_HIPPOCAMPUS_MM = (8.8, 5.4)  # half axes in the second coronal slice, before any disease
_HORN_RIM_MM = 0.5
_HORN_GAIN = 0.25  # what hippocampal loss adds to the area of its cavity

# Of the four coronal slices, from anterior: size of the hippocampus, its place, ventricles.
_HIPPOCAMPUS_SIZE = (1.12, 1.0, 0.86, 0.74)
_HIPPOCAMPUS_AT = ((25.0, -27.0), (26.0, -26.0), (27.0, -24.0), (28.0, -22.0))
_CORONAL_VENTRICLE: tuple[tuple[Node, ...], ...] = (
    ((3.8, 25.0, 2.4), (9.0, 24.0, 2.9), (12.5, 17.0, 1.6)),
    ((3.8, 24.0, 2.4), (10.0, 24.0, 2.8), (14.0, 18.0, 1.6)),
    ((4.0, 24.0, 2.2), (11.0, 24.0, 2.9), (16.0, 19.0, 1.8)),
    ((4.4, 23.0, 2.2), (13.0, 23.0, 3.1), (19.0, 17.0, 2.2)),
)
# Sylvian fissure, two lateral sulci of the temporal lobe, collateral sulcus: from, to.
_TEMPORAL_SULCI = (
    (69.0, -10.0, 42.0, -2.0),
    (67.0, -30.0, 52.0, -27.0),
    (56.0, -48.0, 48.0, -38.0),
    (31.0, -50.0, 30.0, -41.0),
)
# Of the four axial slices, from inferior.
_AXIAL_VENTRICLE: tuple[tuple[tuple[Node, ...], ...], ...] = (
    (
        ((5.5, 34.0, 2.8), (7.0, 24.0, 2.6), (4.5, 12.0, 1.3)),
        ((22.0, -24.0, 3.0), (26.0, -40.0, 2.2)),
    ),
    (
        ((6.0, 35.0, 3.2), (8.0, 22.0, 3.0), (5.5, 9.0, 1.4)),
        ((20.0, -20.0, 3.2), (25.0, -40.0, 2.4)),
    ),
    (
        (
            (6.0, 34.0, 3.2),
            (9.0, 18.0, 3.0),
            (13.0, -4.0, 2.2),
            (20.0, -22.0, 3.1),
            (25.0, -40.0, 2.0),
        ),
    ),
    (((7.0, 30.0, 2.8), (10.0, 10.0, 3.0), (14.0, -10.0, 2.8), (20.0, -28.0, 2.0)),),
)


@dataclass(frozen=True, slots=True)
class Atrophy:
    """States of a brain, 0..1 each; higher is sicker."""

    hippocampus: float
    ventricle: float
    cortex: float


def coronal_slice(plane: Plane, anatomy: Anatomy, atrophy: Atrophy, position: int) -> Floats:
    """(h, w) shades of a slice through the hippocampi; position 0 is the most anterior."""
    head = np.minimum(
        ellipse(plane, (0.0, 6.0), (78.0, 82.0)),
        np.maximum(np.abs(plane.x) - np.float32(46.0), plane.y + np.float32(30.0)),
    )
    skull = ellipse(plane, (0.0, 6.0), (73.0, 75.0))
    vault = ellipse(plane, (0.0, 6.0), (68.0, 68.0))
    picture = _wrapped(plane, head, skull, vault)
    space = np.float32(_SPACE_MM + _SPACE_GAIN_MM * atrophy.cortex)
    hemispheres = ellipse(plane, (0.0, 22.0), (67.0, 52.0)) + space
    lobes = [
        ellipse(plane, (sign * x, y), axes) + space
        for sign in (-1, 1)
        for (x, y), axes in (((42.0, -28.0), (25.0, 21.0)), ((50.0, -6.0), (16.0, 14.0)))
    ]
    brain = np.minimum.reduce([hemispheres, *lobes])
    fissures: list[tuple[Node, ...]] = [((0.0, 74.0, 0.5), (0.0, 34.0, 0.4))]
    fissures += [
        ((sign * x0, y0, 0.5), (sign * x1, y1, 0.3))
        for sign in (-1, 1)
        for x0, y0, x1, y1 in _TEMPORAL_SULCI
    ]
    folds = anatomy.folds[position]
    picture = _cortex(
        plane, picture, brain, _sulcus(plane, hemispheres, folds, -0.1), fissures, atrophy
    )
    picture = painted(picture, plane.inside(ellipse(plane, (0.0, -34.0), (13.0, 24.0))), 0.78)
    for side in (plane, plane.mirrored()):
        for center, axes in (((10.0, 4.0), (8.0, 8.0)), ((28.0, 6.0), (5.0, 11.0))):
            picture = painted(picture, side.inside(ellipse(side, center, axes)), _DEEP)
    picture = _third_ventricle(plane, picture, (9.0, -8.0), atrophy)
    for side, sign in ((plane, 1.0), (plane.mirrored(), -1.0)):
        picture = _hippocampus(side, picture, anatomy, atrophy, position, sign)
        tubes = (_CORONAL_VENTRICLE[position],)
        picture = _lateral_ventricle(side, picture, tubes, anatomy, atrophy, sign)
    return picture


def axial_slice(plane: Plane, anatomy: Anatomy, atrophy: Atrophy, position: int) -> Floats:
    """(h, w) shades of a slice through the ventricles; position 0 is the most inferior."""
    narrow = np.float32(0.8 * position)  # mm: the vault narrows upwards
    head = ellipse(plane, (0.0, 0.0), (76.0, 93.0)) + narrow
    skull = ellipse(plane, (0.0, 0.0), (71.5, 88.0)) + narrow
    vault = ellipse(plane, (0.0, 0.0), (66.0, 82.0)) + narrow
    picture = _wrapped(plane, head, skull, vault)
    brain = vault + np.float32(_SPACE_MM + _SPACE_GAIN_MM * atrophy.cortex)
    fissures: list[tuple[Node, ...]] = [
        ((0.0, 84.0, 0.5), (0.0, 46.0, 0.4)),
        ((0.0, -84.0, 0.5), (0.0, -52.0, 0.4)),
    ]
    if position < 2:
        fissures += [((side * 68.0, 14.0, 1.1), (side * 44.0, 6.0, 0.8)) for side in (-1, 1)]
    folds = anatomy.folds[len(_CORONAL_VENTRICLE) + position]
    picture = _cortex(plane, picture, brain, _sulcus(plane, brain, folds), fissures, atrophy)
    deep = [((14.0, 24.0), (4.5, 9.0))] * (position < 3)
    deep += [((11.0, -6.0), (8.0, 12.0)), ((28.0, 9.0), (6.0, 15.0))] * (position < 2)
    for side in (plane, plane.mirrored()):
        for center, axes in deep:
            picture = painted(picture, side.inside(ellipse(side, center, axes)), _DEEP)
    if position < 2:
        picture = _third_ventricle(plane, picture, (4.0, -16.0), atrophy)
    for side, sign in ((plane, 1.0), (plane.mirrored(), -1.0)):
        tubes = _AXIAL_VENTRICLE[position]
        picture = _lateral_ventricle(side, picture, tubes, anatomy, atrophy, sign)
    return picture


def _wrapped(plane: Plane, head: Floats, skull: Floats, vault: Floats) -> Floats:
    """(h, w) scalp, bone, and fluid where the brain will lie."""
    picture = painted(np.full(plane.x.shape, AIR, np.float32), plane.inside(head), FAT)
    below = plane.inside(np.maximum(head + np.float32(3.0), plane.y + np.float32(56.0)))
    picture = painted(picture, below, _MUSCLE)
    return painted(painted(picture, plane.inside(skull), BONE), plane.inside(vault), CSF)


def _cortex(
    plane: Plane,
    picture: Floats,
    brain: Floats,
    sulci: tuple[Floats, Floats],
    fissures: list[tuple[Node, ...]],
    atrophy: Atrophy,
) -> Floats:
    """(h, w) the picture with the brain laid in: white matter, folded grey ribbon, sulci.

    Atrophy thins the ribbon and widens the sulci.
    """
    wider = _SULCUS_MM + _SULCUS_GAIN_MM * atrophy.cortex
    distance, relative = sulci
    half = np.asarray(relative * np.float32(wider), np.float32)
    fluid = plane.strip(distance, half)
    surface = np.minimum(-brain, distance - half)  # mm into the tissue
    for nodes in fissures:
        away, radius = tube(plane, nodes)
        half = np.asarray(radius + np.float32(1.5 * wider - 0.4), np.float32)
        fluid = np.maximum(fluid, plane.strip(away, half))
        surface = np.minimum(surface, away - half)
    tissue = plane.inside(brain)
    ribbon = np.float32(_CORTEX_MM * float(cortical_thickness(atrophy.cortex)))
    picture = painted(picture, tissue, GREY)
    picture = painted(picture, plane.inside(ribbon - surface), WHITE)
    return painted(picture, fluid * tissue, CSF)


def _sulcus(
    plane: Plane, brain: Floats, folds: Folds, lowest: float = -1.0
) -> tuple[Floats, Floats]:
    """(h, w) distance in mm to the nearest sulcus, and that one's relative width.

    Sulci whose direction from the middle has a sine below `lowest` are left out.
    """
    depth = -brain
    lengths = np.where(np.sin(folds.angle) < lowest, -30.0, folds.depth_mm)
    radius = np.hypot(plane.x, plane.y)
    bend, frequency, phase = folds.wave
    angle = np.arctan2(plane.y, plane.x) + np.float32(bend) * np.sin(
        np.float32(frequency) * depth + np.float32(phase)
    )
    angle = np.mod(angle, np.float32(2 * np.pi))
    after = np.searchsorted(folds.angle, angle)
    best = np.full(plane.x.shape, np.inf, np.float32)
    width = np.ones_like(best)
    for k in (after - 1, after % len(folds.angle)):
        turn = np.mod(angle - folds.angle[k] + np.pi, 2 * np.pi) - np.pi
        beyond = np.maximum(np.maximum(depth - lengths[k], -depth), 0)
        distance = np.hypot(radius * turn, beyond).astype(np.float32)
        is_nearer = distance < best
        best = np.where(is_nearer, distance, best)
        width = np.where(is_nearer, folds.width[k].astype(np.float32), width)
    return best, width


def _third_ventricle(
    plane: Plane, picture: Floats, ends: tuple[float, float], atrophy: Atrophy
) -> Floats:
    """(h, w) the picture with the slit between the thalami, which grows with the others."""
    slit = swollen(
        [(0.0, ends[0], 1.3), (0.0, ends[1], 1.1)], float(ventricular_area(atrophy.ventricle))
    )
    return painted(picture, plane.strip(*tube(plane, slit)), CSF)


def _lateral_ventricle(
    side: Plane,
    picture: Floats,
    tubes: tuple[tuple[Node, ...], ...],
    anatomy: Anatomy,
    atrophy: Atrophy,
    sign: float,
) -> Floats:
    """(h, w) the picture with one lateral ventricle; `sign` is 1 on the patient's right."""
    area = anatomy.ventricle * (1.0 + sign * anatomy.asymmetry[0] / 2)
    area *= float(ventricular_area(atrophy.ventricle))
    for nodes in tubes:
        mask = side.strip(*tube(side, swollen(nodes, area, outward=0.9)))
        picture = painted(picture, mask, CSF)
    return picture


def _hippocampus(
    side: Plane, picture: Floats, anatomy: Anatomy, atrophy: Atrophy, position: int, sign: float
) -> Floats:
    """(h, w) the picture with one hippocampus, medial and low in its fluid-filled cavity."""
    area = anatomy.hippocampus * (1.0 + sign * anatomy.asymmetry[1] / 2)
    size = _HIPPOCAMPUS_SIZE[position] * float(np.sqrt(area))
    a, b = _HIPPOCAMPUS_MM[0] * size, _HIPPOCAMPUS_MM[1] * size
    x, y = _HIPPOCAMPUS_AT[position]
    left = float(np.sqrt(hippocampal_area(atrophy.hippocampus)))  # of either half axis
    opened = float(np.sqrt(1.0 + _HORN_GAIN * atrophy.hippocampus))
    rim = _HORN_RIM_MM
    cavity = ellipse(side, (x + rim, y + rim), (a * opened + rim, b * opened + rim), -0.25)
    center = (x - (1 - left) * 0.75 * a, y - (1 - left) * 0.45 * b)
    tissue = side.inside(ellipse(side, center, (a * left, b * left), -0.25))
    held = np.maximum(side.inside(cavity), tissue)  # the body lies within: what is left is fluid
    filling = np.float32(_HIPPOCAMPUS) * tissue + np.float32(CSF) * (held - tissue)
    return np.asarray(picture * (1 - held) + filling)
