"""Who changed like the query: the parts of S, outcomes, and how sure the answer is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.analysis.plots.looks import PARTS, VERDICTS
from learner_index.analysis.plots.page import short_id
from learner_index.analysis.plots.progression import lay_out_progression
from learner_index.data.progression import Support
from learner_index.errors import NotEnoughDataError
from tests.analysis.plots.changes_toy import found, hit
from tests.analysis.plots.tidy import caption, title, untidy, words


def bars(axis, row):
    """Left end and right end of the bars in a row, by colour."""
    return {
        patch.get_facecolor(): (patch.get_x(), patch.get_x() + patch.get_width())
        for patch in axis.patches
        if abs(patch.get_y() + patch.get_height() / 2 - row) < 0.1
    }


@settings(max_examples=12)
@given(parts=st.tuples(*[st.floats(-2, 2).filter(lambda x: abs(x) > 0.01)] * 3))
def test_bars_for_and_against_add_up_to_s(parts):
    """Bars to the right less bars to the left are S, where the diamond stands."""
    one = hit(1, **dict(zip(PARTS, parts, strict=True)))

    axis = lay_out_progression(found(one)).axes[0]

    ends = np.array([*bars(axis, 0).values()])
    assert ends.max(initial=0.0) + ends.min(initial=0.0) == pytest.approx(one.similarity)
    (diamond,) = [line for line in axis.lines if line.get_marker() == "D"]
    assert diamond.get_xdata()[0] == pytest.approx(one.similarity)


def test_the_most_alike_stands_above():
    """Rows go down by rank, with patient and days between the visits."""
    axis = lay_out_progression(found()).axes[0]

    assert [label.get_text() for label in axis.get_yticklabels()] == ["1. P2, 3 d", "2. P3, 3 d"]
    assert axis.get_ylim()[0] > axis.get_ylim()[1]


def test_outcomes_have_the_look_of_their_verdict():
    """Change of score to the right is healthier, in the colour and shape of the verdict."""
    axis = lay_out_progression(found(), unit="S/F ratio").axes[1]

    assert axis.get_xlabel() == "Δ health score\n(S/F ratio)\nright is healthier"
    ends = {line.get_marker(): line.get_xdata()[0] for line in axis.lines}
    assert ends[VERDICTS["steady"].marker] == 10.0
    assert ends[VERDICTS["worsening"].marker] == -20.0


def test_a_hit_without_a_score_says_so():
    """Words in its row, and no point that could be read as no change."""
    figure = lay_out_progression(found(hit(1), hit(2, score=None)))

    assert [text.get_text() for text in figure.axes[1].texts] == ["no score"]


def test_without_scores_the_verdicts_are_written():
    """The second panel holds words."""
    figure = lay_out_progression(found(hit(1, score=None, verdict="improving")))

    assert [text.get_text() for text in figure.axes[1].texts] == ["improving"]


def test_without_scores_and_verdicts_there_is_one_panel():
    """Outcomes that nobody knows take no room, and the caption says so."""
    figure = lay_out_progression(found(hit(1, score=None, verdict="no severity axis")))

    assert len(figure.axes) == 1
    assert "Outcomes unknown" in caption(figure)


def test_parts_that_do_not_count_are_not_shown():
    """With weights of 0, neither bar nor legend nor formula has the part."""
    figure = lay_out_progression(found(weights=(1.0, 0.0, 0.0)))

    assert len(bars(figure.axes[0], 0)) == 1
    assert "S = direction; larger" in caption(figure)
    assert "start" not in {text.get_text() for text in words(figure)}


def test_the_caption_says_how_sure_it_is():
    """Hits, transitions, patients, support, p and B."""
    told = caption(lay_out_progression(found()))

    assert "n = 2 hits among 40 transitions of 20 patients." in told
    assert "12 patients started alike (at least 5 needed)" in told
    assert "mean S 0.25, by chance −0.50: p = 0.012, B = 999 draws" in told


def test_an_answer_that_was_not_tested_says_so():
    """Without a test there is no p; where it cannot be trusted, that is said."""
    doubted = found(chance=None, notes=("no p for the set: it is too often small",))

    assert "Not tested against chance." in caption(lay_out_progression(found(chance=None)))
    assert "no test of it can be trusted" in caption(lay_out_progression(doubted))


def test_an_unsupported_answer_says_so_in_its_title():
    """UNSUPPORTED stands above, and the note that says why below."""
    note = "UNSUPPORTED: 2.0 patients started from a similar state"
    figure = lay_out_progression(
        found(support=Support(2.0, 5.0), chance=None, notes=(note,), is_simulated=True)
    )

    assert title(figure) == "SIMULATED DATA: UNSUPPORTED: Who changed like P1, day 0 to 3"
    assert note in caption(figure)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"kind": "direction", "direction": "worsening"}, "in the worsening direction"),
        ({"kind": "groups"}, "from one group to the other"),
        ({"kind": "vector"}, "in a given direction"),
        ({"kind": "patient", "patient_id": "P1", "negate": True}, "opposite to P1"),
    ],
)
def test_the_title_says_what_was_asked(query, told):
    """A direction, groups, a vector, or the opposite of a patient."""
    assert title(lay_out_progression(found(query=query, change=None))) == f"Who changed {told}"


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"hits": tuple(hit(i, score=(-1) ** i * 1000.0 * i) for i in range(1, 51))},
        {"hits": (hit(1, patient="patient-" * 8, verdict="uncertain"),)},
        {"hits": (hit(1, score=None), hit(2, score=None, verdict="improving"))},
        {"hits": (hit(1, direction=0.0, start=0.0, days=0.0, score=0.0),)},
    ],
    ids=["full", "fifty", "long id", "verdicts", "zeros"],
)
def test_every_answer_can_be_read(changed):
    """Nothing written lies on anything else or leaves the page; no text is under 6 points."""
    figure = lay_out_progression(found(**changed), unit="S/F ratio")

    assert untidy(figure) == []
    assert min(text.get_fontsize() for text in words(figure)) >= 6


@given(st.text(min_size=1, max_size=60))
def test_short_ids_keep_both_ends(patient_id):
    """An id that fits stays; a longer one has 17 letters at most, first and last as they were."""
    found_id = short_id(patient_id)

    assert len(found_id) <= 18
    assert found_id == patient_id or "…" in found_id
    assert (found_id[0], found_id[-1]) == (patient_id[0], patient_id[-1])


def test_refuses_no_hits_and_too_many():
    """Nobody found, or more than a page holds, is said in one line."""
    with pytest.raises(NotEnoughDataError, match="none of 40 eligible transitions"):
        lay_out_progression(replace(found(), hits=()))
    with pytest.raises(NotEnoughDataError, match="51 hits have no room"):
        lay_out_progression(found(*(hit(i) for i in range(1, 52))))
