"""What nearest patients share: against slow loops, on planted shifts, and on labels by lot."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.analysis import confounders
from learner_index.analysis.confounders import Space, audit, nearest_patients, random_patients
from learner_index.errors import QueryError, SettingsError


def space_of(patients=30, visits=2, width=6, seed=0, *, views=1, shift=None, score=None):
    """Embeddings drawn at random; `shift` (p, e) is added to those of each patient."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(patients), visits * views)
    embeddings = rng.standard_normal((len(owner), width))
    if shift is not None:
        embeddings += shift[owner]
    visit = np.arange(len(owner)) // views
    view = np.tile([f"v{i}" for i in range(views)], patients * visits)
    scores = np.full(len(owner), np.nan) if score is None else np.asarray(score)[owner]
    names = np.array([f"P{i:03d}" for i in owner], object)
    return Space(embeddings, names, visit, view.astype(object), np.zeros(width), scores), owner


def slow_neighbors(space, k):
    """For each scan, rows of the nearest scan of each of the k nearest other patients."""
    found = []
    for i, own in enumerate(space.embeddings):
        best = {}
        for j, other in enumerate(space.embeddings):
            if space.patient[i] == space.patient[j] or space.stratum[i] != space.stratum[j]:
                continue
            cosine = own @ other / np.linalg.norm(own) / np.linalg.norm(other)
            if space.patient[j] not in best or cosine > best[space.patient[j]][0]:
                best[space.patient[j]] = (cosine, j)
        found.append([j for _, j in sorted(best.values(), reverse=True)[:k]])
    return found


def slow_alike(space, values, k, kind):
    """Mean over patients of the mean over scans of the mean over neighbours."""
    per_patient = {}
    for i, rows in enumerate(slow_neighbors(space, k)):
        if rows:
            each = [
                values[i] == values[j] if kind == "category" else abs(values[i] - values[j])
                for j in rows
            ]
            per_patient.setdefault(space.patient[i], []).append(np.mean(each))
    return np.mean([np.mean(own) for own in per_patient.values()])


def test_neighbors_are_those_of_a_slow_search():
    """Distinct other patients of the stratum, each by their nearest scan, nearest first."""
    space, owner = space_of(8, 2, views=2, seed=1)
    strata = pd.factorize(space.stratum)[0]

    found = nearest_patients(space.embeddings, owner, strata, space.center, 3)

    assert found.tolist() == slow_neighbors(space, 3)


def test_fewer_patients_than_asked_for_leave_gaps():
    """With three patients there are two others: the other places are -1."""
    space, owner = space_of(3, 1)

    found = nearest_patients(space.embeddings, owner, np.zeros(3, int), space.center, 5)

    assert ((found >= 0).sum(axis=1) == 2).all()
    assert (found[:, 2:] == -1).all()


@pytest.mark.parametrize("kind", ["category", "number"])
@pytest.mark.parametrize("level", ["patient", "scan"])
def test_what_is_shared_is_that_of_a_slow_loop(kind, level):
    """Patients weigh equally, and so do scans within a patient."""
    space, owner = space_of(9, 3, views=2, seed=2)
    rng = np.random.default_rng(3)
    drawn = rng.integers(0, 3, len(owner)).astype(float)
    values = drawn[owner] if level == "patient" else drawn

    (one,), _ = audit(space, {"site": (kind, values)}, k=2, n_draws=9)

    assert one.level == level
    assert one.observed == pytest.approx(slow_alike(space, values, 2, kind))


def test_a_site_that_shifts_embeddings_is_flagged():
    """Scanner B moves every embedding of its patients: neighbours share it, and p says so."""
    site = np.arange(40) % 2
    space, owner = space_of(40, shift=np.outer(site, np.full(6, 2.0)))

    (one,), _ = audit(space, {"site": ("category", np.where(site[owner], "A", "B"))}, n_draws=199)

    assert one.observed > one.high > one.expected > one.low
    assert one.p_value == one.p_holm == 1 / 200


def test_a_number_that_moves_embeddings_is_flagged():
    """Age is written into one dimension: neighbours differ less in age than shuffles give."""
    age = np.linspace(20, 90, 40)
    space, owner = space_of(40, shift=np.outer((age - 55) / 10, np.eye(6)[0]))

    (one,), _ = audit(space, {"age": ("number", age[owner])}, n_draws=199)

    assert one.observed < one.low < one.expected
    assert one.p_value == 1 / 200


@pytest.mark.parametrize("level", ["patient", "visit"])
@pytest.mark.parametrize("kind", ["category", "number"])
def test_labels_by_lot_are_flagged_no_more_often_than_said(kind, level):
    """Of 240 columns in cohorts whose scans cluster by patient, p is at most 0.1 for a tenth."""
    n_flagged = 0
    for seed in range(4):
        rng = np.random.default_rng([9, seed])
        space, owner = space_of(14, 4, 3, seed, shift=6 * rng.standard_normal((14, 3)))
        place = owner if level == "patient" else space.visit
        drawn = rng.random((60, len(owner)))
        drawn = np.round(drawn) if kind == "category" else drawn
        columns = {f"lot{i}": (kind, one[place]) for i, one in enumerate(drawn)}
        found, _ = audit(space, columns, k=3, n_draws=39, seed=seed)
        assert {one.level for one in found} == {level}
        n_flagged += sum(one.p_value <= 0.1 for one in found)

    assert n_flagged <= 24 + 2.5 * np.sqrt(240 * 0.1 * 0.9)


def test_scans_of_one_patient_are_no_evidence():
    """Two patients apart with 40 scans each, in sites of their own, are two patients."""
    counts = [40, 40, 2, 2, 2, 2]
    owner = np.repeat(np.arange(6), counts)
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((6, 4))[owner] + 0.01 * rng.standard_normal((88, 4))
    names, zeros = owner.astype(str).astype(object), np.zeros(88, int)
    space = Space(embeddings, names, owner, zeros.astype(object), np.zeros(4), np.zeros(88))
    site = np.array(["A", "A", "B", "B", "C", "C"])[owner]

    (one,), _ = audit(space, {"site": ("category", site)}, k=1, n_draws=99)

    assert one.p_value > 0.05


def test_views_are_compared_across_strata():
    """A column of scans, such as the view, is not hidden by comparing within views."""
    space, _ = space_of(20, 1, views=2)
    moved = space.embeddings + np.where(space.stratum == "v0", 3.0, -3.0)[:, None]
    space = replace(space, embeddings=moved)
    columns = {"view": ("category", space.stratum)}

    (free,), _ = audit(space, columns, of_scans=("view",), n_draws=99)
    (bound,), _ = audit(space, columns, n_draws=99)

    assert (free.level, free.p_value) == ("scan", 0.01)
    assert free.observed == pytest.approx(1.0)
    assert free.expected < 0.6
    assert (bound.observed, bound.expected, bound.high) == pytest.approx((1.0, 1.0, 1.0))


def test_a_view_that_tells_the_site_makes_nobody_near():
    """Each site has a view of its own and embeddings know of neither: nothing is flagged."""
    space, owner = space_of(40)
    site = np.where(owner % 2, "A", "B").astype(object)
    space = replace(space, stratum=site)

    (one,), _ = audit(space, {"site": ("category", site)}, n_draws=99)

    assert (one.observed, one.expected) == pytest.approx((1.0, 1.0))
    assert one.p_value > 0.1


def test_patients_by_lot_are_others_of_the_stratum_and_as_likely():
    """Never the own patient or another stratum; a patient of ten scans is no likelier."""
    owner = np.repeat([0, 1, 2, 3], [10, 1, 1, 2])
    strata = np.array([0] * 12 + [1, 1])

    found = random_patients(owner, strata, 4000, np.random.default_rng(0))

    assert (found[12:] == -1).all()  # nobody else is in their stratum
    assert set(owner[found[:10].ravel()]) == {1, 2}
    share = np.mean(owner[found[11]] == 0)
    assert share == pytest.approx(0.5, abs=0.05)
    assert set(found[11]) == set(range(11))


@pytest.mark.parametrize(
    ("values", "level"),
    [
        ([1, 1, 1, 1, 2, 2, 2, 2], "patient"),
        ([1, 1, 2, 2, 1, 1, 2, 2], "visit"),
        ([1, 2, 2, 2, 1, 1, 2, 2], "scan"),
    ],
)
def test_what_a_column_belongs_to(values, level):
    """A patient when all scans agree, a visit when those of each visit do, else a scan."""
    space, owner = space_of(8, 2, views=2)

    (one,), _ = audit(space, {"c": ("category", np.tile(values, 4)[: len(owner)])}, n_draws=5)

    assert one.level == level


def test_scans_of_unknown_visit_are_of_scans():
    """Where a visit is unknown, nothing is known to be constant within it."""
    space, _ = space_of(8, 2, views=2)
    visit = space.visit.copy()
    visit[0] = -1
    space = replace(space, visit=visit)

    (one,), _ = audit(space, {"c": ("category", np.repeat([1, 2], 2).tolist() * 8)}, n_draws=5)

    assert one.level == "scan"


@given(seed=st.integers(0, 100), level=st.sampled_from(["patient", "visit", "scan"]))
def test_shuffles_keep_what_is_shuffled_whole(seed, level):
    """Patients' values stay one a patient, and equally many visits are handed over in order."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(6), 4)
    visit = np.repeat(np.arange(12), 2)
    of = {"patient": owner, "visit": visit, "scan": np.arange(24)}[level]
    values = rng.random(24)[of]
    known = confounders._Known(values, owner, visit)

    (shuffled,) = confounders._shuffles(known, level, 1, rng)

    assert sorted(shuffled) == sorted(values)
    before = {tuple(values[owner == p]) for p in range(6)}
    after = {tuple(shuffled[owner == p]) for p in range(6)}
    if level != "scan":
        assert after == before
    else:
        assert {tuple(sorted(own)) for own in after} == {tuple(sorted(own)) for own in before}


def test_longer_and_shorter_paths_are_stretched_and_thinned():
    """A patient of one visit gets any visit of another; one of four gets both of two, in order."""
    owner = np.array([0, 1, 1, 2, 2, 2, 2])
    known = confounders._Known(np.array([9.0, 1, 2, 5, 6, 7, 8]), owner, np.arange(7))
    drawn = np.array(list(confounders._shuffles(known, "visit", 300, np.random.default_rng(0))))

    assert set(drawn[:, 0]) == {9.0, 1, 2, 5, 6, 7, 8}
    given = drawn[drawn[:, 3] == 1][:, 3:]  # the one of four visits gets those of the one of two
    assert {tuple(row) for row in given} <= {(1, 1, 2, 2), (1, 1, 1, 2), (1, 2, 2, 2)}
    assert all(tuple(row) == tuple(sorted(row)) for row in drawn[:, 3:])


def test_several_columns_are_adjusted_by_holm():
    """The smallest p counts as often as there are columns; each column has draws of its own."""
    site = np.arange(40) % 2
    space, owner = space_of(40, shift=np.outer(site, np.full(6, 2.0)))
    rng = np.random.default_rng(0)
    columns = {
        "site": ("category", site[owner]),
        **{f"lot{i}": ("category", rng.integers(0, 2, 40)[owner]) for i in range(3)},
    }

    found, _ = audit(space, columns, n_draws=99)
    alone, _ = audit(space, {"lot1": columns["lot1"]}, n_draws=99)

    assert [one.column for one in found] == list(columns)
    assert found[0].p_holm == pytest.approx(0.04)
    assert all(one.p_holm >= one.p_value for one in found)
    assert alone[0].p_value == found[2].p_value


def test_what_goes_with_health():
    """A site that tells the score has all of its variance; age in order of health has ρ 1."""
    site, score = np.arange(20) % 2, np.arange(20.0)
    space, owner = space_of(20, score=score)
    sick, owner = space_of(20, score=100.0 * site)
    columns = {"site": ("category", site[owner]), "age": ("number", score[owner])}

    (lot, age), _ = audit(space, columns, n_draws=5)
    (told, _), _ = audit(sick, columns, n_draws=5)

    assert lot.health == 0.0
    assert age.health == pytest.approx(1.0)
    assert told.health == pytest.approx(1.0)


@pytest.mark.parametrize("score", [None, np.full(20, 7.0)])
@pytest.mark.parametrize("kind", ["category", "number"])
def test_without_scores_nothing_is_said_of_health(kind, score):
    """No score, or one for all: None rather than a number."""
    space, owner = space_of(20, score=score)

    (one,), _ = audit(space, {"c": (kind, (owner % 3).astype(float))}, n_draws=5)

    assert one.health is None


@pytest.mark.parametrize(
    ("kind", "values", "why"),
    [
        ("category", ["A"] * 20, "the same everywhere"),
        ("number", [np.nan] * 17 + [1, 2, 3], "known of 3 patients, 5 are needed"),
        ("category", [""] * 17 + list("abc"), "known of 3 patients, 5 are needed"),
        ("category", [f"id{i}" for i in range(20)], "no two values are each shared by two"),
    ],
)
def test_columns_that_tell_nothing_are_left_out(kind, values, why):
    """The reason is told, and other columns are still audited."""
    space, owner = space_of(20)
    columns = {"c": (kind, np.array(values, object)[owner]), "d": ("category", owner % 2)}

    found, refused = audit(space, columns, n_draws=5)

    assert [one.column for one in found] == ["d"]
    assert refused["c"].startswith(why)


def test_strata_without_company_are_told():
    """Everybody in a view of their own: nobody can be compared."""
    space, owner = space_of(20)
    alone = replace(space, stratum=owner.astype(object))

    found, refused = audit(alone, {"d": ("category", owner % 2)}, n_draws=5)

    assert (found, refused) == ((), {"d": "no two patients can be compared"})


def test_bad_questions_are_refused():
    """No neighbours, no draws, and embeddings that are no numbers."""
    space, owner = space_of(20)
    broken = replace(space, embeddings=space.embeddings * np.nan)

    with pytest.raises(SettingsError, match="k 0 and n_draws 5: give 1 or more"):
        audit(space, {}, k=0, n_draws=5)
    with pytest.raises(SettingsError, match="k 5 and n_draws 0: give 1 or more"):
        audit(space, {}, n_draws=0)
    with pytest.raises(QueryError, match="NaN or infinity"):
        audit(broken, {"d": ("category", owner)})


def test_strata_that_differ_beyond_nul_are_kept_apart():
    """A device that goes with what stands behind NUL is shared by lot as much as by neighbors."""
    space, _ = space_of(20, 1, views=2)
    moved = space.embeddings + np.where(space.stratum == "v0", 3.0, -3.0)[:, None]
    strata = np.array([f"ap\0{name}" for name in space.stratum], object)
    columns = {"device": ("category", space.stratum)}

    (one,), _ = audit(replace(space, embeddings=moved, stratum=strata), columns, n_draws=39)

    assert (one.observed, one.expected) == pytest.approx((1.0, 1.0))
    assert one.p_value > 0.1


def test_one_site_among_sixty_columns_is_flagged():
    """999 shuffles could not: 60 / 1000 is above 0.05. Other columns stop there."""
    site = np.arange(16) % 2
    space, owner = space_of(16, 1, shift=np.outer(site, np.full(6, 4.0)))
    lots = np.random.default_rng(3).integers(0, 2, (59, 16))
    columns = {f"lot{i}": ("category", one[owner]) for i, one in enumerate(lots)}

    found, _ = audit(space, {"site": ("category", site[owner]), **columns}, k=3)

    assert len(found) == 60
    assert confounders.most_draws(60) == 6000
    assert [one.column for one in found if one.p_holm <= 0.05] == ["site"]
    assert found[0].p_value < 20 / 6001
    assert sum(one.p_value * 1000 == pytest.approx(round(one.p_value * 1000)) for one in found) > 50
