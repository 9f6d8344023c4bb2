"""One patient's path: places, doubt, noise, steps, and what is said where something is missing."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from learner_index.analysis.plots.looks import UNTOLD, VERDICTS
from learner_index.analysis.plots.page import COLUMN_MM
from learner_index.analysis.plots.trajectory import Place, lay_out_trajectory, noise_band
from learner_index.errors import NotEnoughDataError
from tests.analysis.plots.changes_toy import NOISE, path, step, stop
from tests.analysis.plots.tidy import caption, title, untidy, words


def lines(axis, marker):
    """Points of the lines with a marker, as (x, y) lists."""
    return [
        (list(line.get_xdata()), list(line.get_ydata()))
        for line in axis.lines
        if line.get_marker() == marker
    ]


def segments(axis, color):
    """Vertical or horizontal pieces of a colour, as arrays of two points."""
    return [
        segment
        for drawn in axis.collections
        if hasattr(drawn, "get_segments") and to_hex(drawn.get_color()[0]) == color
        for segment in drawn.get_segments()
    ]


def test_visits_stand_at_their_day_and_place():
    """A point a visit, with the 95 % interval of its place."""
    places, scores = lay_out_trajectory(path()).axes

    assert lines(places, "o") == [([0.0, 3.0, 7.0], [2.0, -1.0, 1.0])]
    bars = segments(places, "#000000")
    np.testing.assert_allclose(bars[0], [[0, 1], [0, 4]])
    np.testing.assert_allclose(bars[2], [[7, 0], [7, 3]])
    assert lines(scores, "o") == [([0.0, 3.0, 7.0], [300.0, 350.0, 320.0])]


def test_the_axes_say_which_way_is_bad():
    """Up is sicker on the severity axis and healthier below; units and days are named."""
    places, scores = lay_out_trajectory(path(), unit="S/F ratio").axes

    assert places.get_ylabel() == "severity axis, higher is sicker\n(SD of a repeat scan)"
    assert scores.get_ylabel() == "health score\n(S/F ratio)\nhigher is healthier"
    assert scores.get_xlabel() == "day"
    assert places.get_ylim()[0] < places.get_ylim()[1]


def test_a_step_has_the_colour_and_the_shape_of_its_verdict():
    """Between its visits, a line in the verdict's colour with its marker in the middle."""
    steps = (step(0.0, 3.0, "improving"), step(3.0, 7.0, "uncertain"))

    places = lay_out_trajectory(path(steps=steps)).axes[0]

    for (x, y), verdict in (((1.5, 0.5), "improving"), ((5.0, 0.0), "uncertain")):
        look = VERDICTS[verdict]
        assert lines(places, look.marker) == [([x], [y])]
        assert look.color in {line.get_color() for line in places.lines}


def test_verdicts_differ_in_colour_and_in_shape():
    """No two verdicts share either."""
    looks = [*VERDICTS.values(), UNTOLD]

    for name in ("color", "marker", "symbol"):
        assert len({getattr(look, name) for look in looks}) == len(looks)


def test_the_band_is_what_scanning_again_would_give():
    """It reaches 1.96 √2 standard deviations of one scan either way; gone without a floor."""
    noisy = lay_out_trajectory(path()).axes[0]
    silent = lay_out_trajectory(
        path(stops=(stop(0.0, 2.0, noise=None), stop(3.0, 1.0, noise=None)), steps=(), noise=None)
    )

    np.testing.assert_allclose(
        segments(noisy, "#d9d9d9")[0], [[0, 2 - 1.386], [0, 2 + 1.386]], atol=1e-3
    )
    assert segments(silent.axes[0], "#d9d9d9") == []
    assert "No noise floor" in caption(silent)
    assert "scanning again" not in {text.get_text() for text in words(silent)}


def test_the_band_holds_95_percent_of_second_scans():
    """Two noisy scans of one state: the second lies in the band around the first, in 95 %."""
    first, second = np.random.default_rng(0).normal(0, 0.7, (2, 20_000))
    places = [Place(stop(0.0), 0.0, at, at, at, 0.7) for at in first]

    _, low, high = noise_band(places)

    share = np.mean((np.array(low) <= second) & (second <= np.array(high)))
    assert abs(share - 0.95) < 0.005


def test_a_bar_is_called_the_doubt_of_the_axis_alone():
    """The key says what the interval covers: the axis, not the noise of a scan."""
    shown = {text.get_text() for text in words(lay_out_trajectory(path()))}

    assert "visit, 95 % interval of the axis" in shown


def test_the_caption_says_what_it_rests_on():
    """Visits, patients of the axis, R², repeats, and that a floor of one session is a bound."""
    told = caption(lay_out_trajectory(path(noise={**NOISE, "is_independent": False})))

    assert "n = 3 visits of 1 patient." in told
    assert "200 draws of the axis, fitted on 30 patients, R² 0.50" in told
    assert "from 12 repeats of 6 patients, a lower bound" in told


def test_a_visit_without_a_day_is_counted_not_drawn():
    """It has no place on the day axis; the caption says so."""
    figure = lay_out_trajectory(path(stops=(stop(0.0), stop(None, 5.0)), steps=()))

    assert lines(figure.axes[0], "o") == [([0.0], [0.0])]
    assert "1 visit without a day: not drawn" in caption(figure)


def test_without_any_day_the_panel_says_so():
    """No visit has a day: words in place of an empty panel."""
    figure = lay_out_trajectory(path(stops=(stop(None, 5.0),), steps=()))

    assert [text.get_text() for text in figure.axes[0].texts] == ["no visit has a day"]
    assert len(figure.axes) == 1


def test_a_step_whose_visit_is_not_drawn_is_left_out():
    """Ends that no visit drawn has make no line."""
    figure = lay_out_trajectory(path(stops=(stop(0.0), stop(3.0, None)), steps=(step(0.0, 3.0),)))

    assert lines(figure.axes[0], VERDICTS["steady"].marker) == []


def test_without_an_axis_changes_have_a_length_only():
    """Lengths over their days, filled where longer than repeats; no legend of verdicts."""
    stops = tuple(stop(day, None, None) for day in (0.0, 3.0, 7.0))
    steps = (
        step(0.0, 3.0, "no severity axis", length=2.0, length_p=0.05),
        step(3.0, 7.0, "no severity axis", length=5.0, length_p=0.4),
    )

    figure = lay_out_trajectory(path(stops=stops, steps=steps, axis=None))

    (axis,) = figure.axes
    assert axis.get_ylabel() == "length of change ‖d‖\n(units of the space)"
    marks = [line for line in axis.lines if line.get_marker() == "o"]
    assert [line.get_markerfacecolor() for line in marks] == ["#777777", "#ffffff"]
    assert [line.get_ydata()[0] for line in marks] == [2.0, 5.0]
    assert axis.get_ylim()[0] == 0
    assert "no direction" in caption(figure)
    assert not figure.legends


def test_an_axis_that_tells_nothing_is_said_to():
    """Steps without a verdict on an axis: the caption says why."""
    steps = (step(0.0, 3.0, "no severity axis"),)

    told = caption(lay_out_trajectory(path(steps=steps)))

    assert "tells nothing of patients left out" in told


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"stops": (stop(0.0),), "steps": ()},
        {"stops": (stop(0.0, None, None),), "steps": (), "axis": None, "noise": None},
        {"stops": tuple(stop(float(d), np.sin(d), None) for d in range(40)), "steps": ()},
        {"patient_id": "x" * 90},
        {
            "stops": tuple(stop(d, d, 1.0) for d in (0.0, 1.0, 2.0, 3.0)),
            "steps": tuple(
                step(float(i), i + 1.0, verdict)
                for i, verdict in enumerate(("uncertain", "steady", "no noise floor"))
            ),
        },
        {"notes": ("SEEN BY ENCODER: the encoder was trained on this patient",)},
    ],
    ids=["full", "one visit", "nothing known", "many visits", "long id", "all verdicts", "seen"],
)
def test_every_path_can_be_read(changed):
    """Nothing written lies on anything else or leaves the page, at the width of a column."""
    figure = lay_out_trajectory(path(**changed), unit="S/F ratio")

    assert untidy(figure) == []
    assert figure.get_size_inches()[0] == pytest.approx(COLUMN_MM / 25.4)
    assert min(text.get_fontsize() for text in words(figure)) >= 6


def test_simulated_and_seen_patients_are_called_so():
    """Both words stand in the title, a title of one's own included."""
    seen = path(notes=("SEEN BY ENCODER: it knows them",), is_simulated=True)

    assert title(lay_out_trajectory(seen)) == ("SIMULATED DATA: Trajectory of P1 (SEEN BY ENCODER)")
    assert title(lay_out_trajectory(seen, title="mine")).startswith("SIMULATED DATA: mine")
    assert title(lay_out_trajectory(path())) == "Trajectory of P1"


def test_refuses_a_path_without_visits():
    """Nothing to draw is said in one line."""
    with pytest.raises(NotEnoughDataError, match="no visit of P1 to draw"):
        lay_out_trajectory(replace(path(), stops=(), steps=()))
