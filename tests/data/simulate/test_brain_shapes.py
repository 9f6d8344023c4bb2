"""Soft masks hold the true area of a shape, wherever it lies between the pixels."""

import numpy as np
import pytest

from learner_index.data.simulate.brain_shapes import Plane, ellipse, painted, swollen, tube


def plane(shift=0.0, edge=2.0, n=60):
    along = ((np.arange(n) + 0.5) * edge - n * edge / 2 + shift).astype(np.float32)
    return Plane(np.tile(along, (n, 1)), np.tile(-along[:, None], (1, n)), edge)


def area(mask, edge=2.0):
    return float(mask.sum()) * edge**2


@pytest.mark.parametrize("shift", [0.0, 0.7, 1.3])
@pytest.mark.parametrize("tilt", [0.0, -0.25])
def test_an_ellipse_has_its_area_anywhere(shift, tilt):
    """Pi a b within 1.5 %, whatever the place and the tilt."""
    where = plane(shift)

    mask = where.inside(ellipse(where, (3.0, -2.0), (9.0, 5.5), tilt))

    assert area(mask) == pytest.approx(np.pi * 9.0 * 5.5, rel=0.015)


def test_a_hundredth_of_a_pixel_is_seen():
    """Growth of an area by far less than a pixel appears in the mask's sum."""
    where = plane(0.3)
    small, large = (area(where.inside(ellipse(where, (0.0, 0.0), (9.0, b)))) for b in (5.5, 5.505))

    assert large - small == pytest.approx(np.pi * 9.0 * 0.005, rel=0.25)


@pytest.mark.parametrize("half_width", [0.2, 0.9, 3.0])
def test_a_strip_is_as_wide_as_asked(half_width):
    """A line thinner than a pixel covers as much as it should, in every direction."""
    where = plane(0.4)
    for turn in (0.0, 0.5):
        x, y = 40 * np.cos(turn), 40 * np.sin(turn)
        distance, _ = tube(where, [(-x, -y, 1.0), (x, y, 1.0)])
        mask = where.strip(distance, half_width)
        expected = 80 * 2 * half_width + np.pi * half_width**2
        assert area(mask) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("growth", [0.7, 1.0, 2.1])
def test_a_swollen_tube_has_grown_as_asked(growth):
    """Area after over area before is the growth, also of a bent tube with uneven radius."""
    where = plane(0.2)
    nodes = [(6.0, 34.0, 3.2), (9.0, 18.0, 3.0), (13.0, -4.0, 2.2), (20.0, -22.0, 3.1)]

    before, after = (
        area(where.strip(*tube(where, swollen(nodes, size)))) for size in (1.0, growth)
    )

    assert after / before == pytest.approx(growth, rel=0.03)


def test_a_mirrored_plane_swaps_sides():
    """A shape on the right of one plane lies on the left of the other."""
    where = plane()
    right = where.inside(ellipse(where, (20.0, 0.0), (5.0, 5.0)))
    mirrored = where.mirrored()

    left = mirrored.inside(ellipse(mirrored, (20.0, 0.0), (5.0, 5.0)))

    assert np.allclose(left, right[:, ::-1], atol=1e-5)
    assert right[:, :30].sum() < 1e-3 < right[:, 30:].sum()


def test_paint_covers_as_the_mask_says():
    """Half a mask is half of either shade."""
    picture = np.full((1, 3), 0.2, np.float32)

    shown = painted(picture, np.array([[0.0, 0.5, 1.0]], np.float32), 0.8)

    assert shown[0] == pytest.approx([0.2, 0.5, 0.8])
