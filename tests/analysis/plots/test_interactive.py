"""Interactive twins: the numbers and words of the static figures, in one file that asks nobody."""

import re

import numpy as np
import pandas as pd
import pytest

from learner_index.analysis.plots.figure_one import DistancePanel
from learner_index.analysis.plots.interactive import progression_figure, trajectory_figure
from learner_index.analysis.plots.interactive_distances import distances_figure
from learner_index.analysis.plots.interactive_page import hover, write_html
from learner_index.analysis.plots.looks import VERDICTS
from learner_index.analysis.plots.progression import lay_out_progression
from learner_index.analysis.plots.trajectory import lay_out_trajectory
from learner_index.errors import NotEnoughDataError, RunWriteError, SettingsError
from tests.analysis.plots.changes_toy import found, hit, path, step, stop
from tests.analysis.plots.tidy import caption, title
from tests.browser import measure, needs_browser


def named(figure, name):
    """The traces of a name."""
    return [trace for trace in figure.data if trace.name == name]


def plain(text):
    """Words without line breaks."""
    return " ".join(text.replace("<br>", " ").replace("\N{NO-BREAK SPACE}", " ").split())


def said(figure):
    """Title and caption in one line each."""
    return plain(figure.layout.title.text), plain(figure.layout.annotations[-1].text)


@pytest.mark.parametrize(
    ("twin", "static", "answer"),
    [
        (trajectory_figure, lay_out_trajectory, path(is_simulated=True)),
        (trajectory_figure, lay_out_trajectory, path(axis=None)),
        (progression_figure, lay_out_progression, found(is_simulated=True)),
    ],
)
def test_twins_say_the_same(twin, static, answer):
    """Title, SIMULATED included, and caption are those of the static figure."""
    drawn = static(answer)

    assert said(twin(answer)) == (title(drawn), caption(drawn))


def test_a_path_has_its_visits_and_steps():
    """Points at day and place with their interval; a step in its verdict's colour and shape."""
    figure = trajectory_figure(path(), unit="S/F <ratio>")

    (visits,) = named(figure, "visit, 95 % interval of the axis")
    assert (list(visits.x), list(visits.y)) == ([0, 3, 7], [2, -1, 1])
    assert (list(visits.error_y.array), list(visits.error_y.arrayminus)) == ([2] * 3, [1] * 3)
    (improving,) = named(figure, "improving")
    look = VERDICTS["improving"]
    assert (improving.line.color, improving.marker.symbol) == (look.color, look.symbol)
    assert list(improving.y) == [2.0, 0.5, -1.0]
    assert figure.layout.yaxis2.title.text.startswith("health score (S/F &lt;ratio&gt;)")
    assert "higher is sicker" in figure.layout.yaxis.title.text


def test_the_pointer_tells_more():
    """Day, place, doubt, score and scans of a visit; days, axis, score and p of a step."""
    figure = trajectory_figure(path())

    (visits,) = named(figure, "visit, 95 % interval of the axis")
    assert plain(visits.hovertext[0]) == (
        "day 0 place 2.00 95 % of the axis 1.00 to 4.00 SD of one scan 0.50 health score 300 "
        "scans scan-0.0"
    )
    (step_shown,) = named(figure, "improving")
    assert plain(step_shown.hovertext[1]) == (
        "improving day 0 to 3 +1.00 along the severity axis +10 in health score "
        "‖d‖ 2.00 (p 0.050 among repeats) views L1"
    )


def test_the_band_of_a_single_visit_has_a_width():
    """One visit's noise is a bar, not a line without area."""
    (band,) = named(trajectory_figure(path(stops=(stop(2.0, 1.0),), steps=())), "scanning again")

    assert max(band.x) > min(band.x)
    np.testing.assert_allclose([min(band.y), max(band.y)], [1 - 1.386, 1 + 1.386], atol=1e-3)


def test_a_path_without_noise_scores_or_axis():
    """Nothing is drawn that is not known; lengths are hollow where repeats differ as much."""
    bare = tuple(stop(day, None, None) for day in (0.0, 3.0))
    steps = (step(0.0, 3.0, "no severity axis", length_p=0.5, delta_score=None),)

    figure = trajectory_figure(path(stops=bare, steps=steps, axis=None, noise=None))

    (length,) = figure.data
    assert length.marker.symbol == "circle-open"
    assert list(length.y) == [2.0] * 3
    silent = trajectory_figure(path(stops=(stop(0.0, noise=None),), steps=(), noise=None))
    assert named(silent, "scanning again") == []


def test_hits_have_their_parts_and_outcomes():
    """A bar a part and hit, S beside, and the change of score where it is known."""
    figure = progression_figure(found(hit(1), hit(2, score=None)), unit="S/F")

    assert [list(named(figure, name)[0].x) for name in ("direction", "start", "days")] == [
        [0.5, 0.5],
        [-0.2, -0.2],
        [-0.1, -0.1],
    ]
    np.testing.assert_allclose(named(figure, "S")[0].x, [0.2, 0.2])
    (outcome,) = named(figure, "steady")
    assert (list(outcome.x), list(outcome.y)) == ([0, 10], [0, 0])
    assert "S 0.20 = direction 0.50 + start −0.20 + days −0.10" in outcome.hovertext[1]
    assert list(figure.layout.yaxis.ticktext) == ["1. P2, 3 d", "2. P3, 3 d"]


def test_hits_without_any_score_are_one_panel():
    """Outcomes that are not known take no room."""
    figure = progression_figure(found(hit(1, score=None)))

    assert [trace.xaxis for trace in figure.data] == ["x"] * 4


def test_distances_are_those_of_the_frame():
    """Three panels with each pair, ρ above, and whose pair under the pointer."""
    change = np.linspace(0, 100, 40)
    frame = pd.DataFrame({"patient": [f"p{i % 5}" for i in range(40)], "abs_delta_score": change})
    for factor, how in enumerate(("raw", "centered", "whitened"), 1):
        frame[f"distance_{how}"] = factor * change
    frame.loc[3, "abs_delta_score"] = np.nan
    panel = DistancePanel("m", frame, {"raw": (0.5, 0.4, 0.6)}, is_seen=True)

    figure = distances_figure(panel, unit="mmHg", title="t", caption="c", is_simulated=True)

    pairs = named(figure, "pair of scans")
    assert [len(trace.x) for trace in pairs] == [39] * 3
    np.testing.assert_allclose(pairs[1].y, 2 * pairs[1].x)
    assert pairs[0].hovertext[1].startswith("p1<br>change 2.56")
    heads = [one.text for one in figure.layout.annotations[:3]]
    assert heads[0] == "raw cosine<br>ρ = 0.50 (0.40 to 0.60)"
    assert heads[1] == "centred cosine<br>ρ not measured"
    assert figure.layout.yaxis.title.text == "m (SEEN BY ENCODER)<br>distance (no unit)"
    assert said(figure) == ("SIMULATED DATA: t", "c n = 5 patients, 39 pairs.")


def test_few_pairs_have_no_running_median_and_none_are_refused():
    """A line needs two bins; a panel needs a pair."""
    frame = pd.DataFrame({"patient": ["a"], "abs_delta_score": [1.0], "distance_raw": [0.5]})
    frame["distance_centered"] = frame["distance_whitened"] = np.nan
    words = {"unit": "u", "title": "t", "caption": "c"}

    figure = distances_figure(DistancePanel("m", frame, {}), **words)

    assert [trace.name for trace in figure.data] == ["pair of scans"]
    with pytest.raises(NotEnoughDataError, match="no pairs to draw"):
        distances_figure(DistancePanel("m", frame.iloc[:0], {}), **words)


def test_ids_are_text_never_markup():
    """What a manifest holds cannot put a link or a script into a figure."""
    figure = progression_figure(found(hit(1, patient="<a href='x'>")))

    assert "<a" not in figure.layout.yaxis.ticktext[0]
    assert hover("<b>", None, "c") == "&lt;b&gt;<br>c"


def test_a_file_asks_no_server(tmp_path):
    """One file with the library inside: nothing else is loaded; equal figures, equal bytes."""
    file = write_html(trajectory_figure(path()), tmp_path / "t.html")

    text = file.read_text()
    loaded = re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=[^>]*>", text)
    is_same = text == write_html(trajectory_figure(path()), tmp_path / "u.html").read_text()
    assert ("Plotly.newPlot(" in text[-20_000:], loaded, is_same) == (True, [], True)


@needs_browser
@pytest.mark.slow
def test_no_button_sends_the_figure_away(tmp_path):
    """Plotly's own button would upload the data to its maker."""
    file = write_html(trajectory_figure(path()), tmp_path / "t.html")
    titles = "[...document.querySelectorAll('.modebar-btn')].map(one => one.dataset.title)"

    found = measure(file, titles)

    assert any("Pan" in title for title in found)
    assert not any("hare" in title or "loud" in title for title in found)


def test_refuses_other_endings_and_a_full_disk(tmp_path):
    """A picture's ending, or a place that cannot be written, is named with the file."""
    figure = trajectory_figure(path())
    (tmp_path / "dir.html").mkdir()

    with pytest.raises(SettingsError, match=r"t\.png is no kind of interactive figure"):
        write_html(figure, tmp_path / "t.png")
    with pytest.raises(RunWriteError, match=r"dir\.html cannot be written"):
        write_html(figure, tmp_path / "dir.html")
