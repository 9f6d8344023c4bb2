"""The whole search against a slow one, and the laws it obeys."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.config import SimilarOptions
from learner_index.errors import QueryError
from learner_index.search import exact
from learner_index.search.query import patient_query, scan_query, vector_query, visit_query
from learner_index.search.similar import similar, similar_many
from learner_index.search.table import SearchTable

METRICS = ("centered", "cosine", "euclidean")
seeds = st.integers(0, 2**32 - 1)


def answer(hits):
    """Everything of an answer but the time and who computed it."""
    return replace(hits, elapsed_ms=0.0, backend="").to_dict()


def pairs(hits):
    return [(hit.scan_id, hit.similarity) for hit in hits]


def any_query(table, kind, rng):
    row = int(rng.integers(len(table)))
    patient = table.obs["patient_id"][row]
    if kind == "scan":
        return scan_query(table, table.obs["scan_id"][row])
    if kind == "patient":
        return patient_query(table, patient)
    if kind == "visit" and not np.isnan(table.days[row]):
        return visit_query(table, patient, day=table.days[row])
    view = table.obs["view"][row]
    known = None if pd.isna(view) else view
    return vector_query(table, table.embeddings[row : row + 2], view=known, patient_id=patient)


@settings(max_examples=120, deadline=None)
@given(
    seed=seeds,
    patients=st.integers(1, 8),
    visits=st.sampled_from([1, 3, 50]),
    k=st.sampled_from([1, 2, 5, 10_000]),
    kind=st.sampled_from(["scan", "visit", "patient", "vector"]),
    level=st.sampled_from(["scan", "visit", "patient"]),
    metric=st.sampled_from(METRICS),
    any_view=st.booleans(),
    include_self=st.booleans(),
)
def test_equals_slow_search(
    lab, seed, patients, visits, k, kind, level, metric, any_view, include_self
):
    """NumPy and FAISS give what a double loop gives, bit for bit, ties in order of rows."""
    table = lab.table(*lab.cohort(seed, patients, visits))
    query = any_query(table, kind, np.random.default_rng(seed))
    options = SimilarOptions(
        k=k, level=level, metric=metric, any_view=any_view, include_self=include_self
    )
    others = (table.obs["patient_id"] != query.patient_id).to_numpy(bool)
    eligible = others | include_self

    numpy = similar(table, query, replace(options, backend="numpy"))
    faiss = similar(table, query, replace(options, backend="faiss-cpu"))

    assert pairs(numpy) == lab.slow_search(table, query, options, eligible)
    assert answer(numpy) == answer(faiss)


@pytest.mark.parametrize("backend", ["numpy", "faiss-cpu"])
@pytest.mark.parametrize("n_eligible", [5000, 1000, 100, 10, 1])
def test_filters_of_any_share_lose_nothing(lab, backend, n_eligible):
    """From half of 10,000 scans down to one, a filtered search equals the slow search."""
    rng = np.random.default_rng(n_eligible)
    n = 10_000
    x = rng.standard_normal((n, 8)).astype(np.float32)
    chosen = np.zeros(n, bool)
    chosen[rng.choice(n, n_eligible, replace=False)] = True
    obs = pd.DataFrame(
        {
            "scan_id": pd.array([f"S{i}" for i in range(n)], dtype="string"),
            "patient_id": pd.array([f"P{i % 900}" for i in range(n)], dtype="string"),
            "day": np.zeros(n),
            "chosen": pd.array(chosen, dtype="boolean"),
        }
    )
    table = lab.table(x, obs)
    options = SimilarOptions(k=7, where=("chosen == true",), backend=backend, metric="cosine")
    query = vector_query(table, rng.standard_normal(8))

    hits = similar(table, query, options)

    assert pairs(hits) == lab.slow_search(table, query, options, chosen)
    assert hits.n_eligible == hits.n_scanned == n_eligible


def test_everything_equal_is_ranked_by_row(lab):
    """When all scans are the same, hits come in the order of rows, from any backend."""
    x, obs = lab.cohort(1, patients=30, zeros=0, copies=0, views=False)
    table = lab.table(np.ones_like(x), obs)
    firsts = obs.drop_duplicates("patient_id")["scan_id"].tolist()[:5]

    for backend in ("numpy", "faiss-cpu"):
        options = SimilarOptions(k=5, metric="cosine", backend=backend)
        hits = similar(table, vector_query(table, np.ones(6)), options)
        assert [hit.scan_id for hit in hits] == firsts


def test_zero_vectors_are_similar_to_nothing(lab):
    """A query of length zero has similarity 0 with every scan, never NaN."""
    table = lab.table(*lab.cohort(2, zeros=0.3))

    hits = similar(table, vector_query(table, np.zeros(6)), SimilarOptions(metric="cosine"))

    assert {hit.similarity for hit in hits} == {0.0}


def test_scan_at_the_mean_has_no_direction(lab):
    """A scan that equals the reference's mean up to rounding has centred similarity 0."""
    table = lab.table(*lab.cohort(3, patients=1, copies=0, zeros=0, width=5))
    x = np.repeat(table.embeddings[:1], len(table), axis=0)
    table = lab.table(x, table.obs)

    hits = similar(table, vector_query(table, np.ones(5)), SimilarOptions(level="scan", k=99))

    assert {hit.similarity for hit in hits} == {0.0}


@settings(max_examples=25, deadline=None)
@given(seed=seeds, power=st.integers(-20, 20))
def test_cosine_ignores_scale(lab, seed, power):
    """Multiplying embeddings or query by a power of two changes no cosine at all."""
    x, obs = lab.cohort(seed)
    table = lab.table(x, obs)
    scaled = lab.table(x * np.float32(2.0**power), obs)
    options = SimilarOptions(metric="cosine")

    hits = similar(table, vector_query(table, x[0]), options)
    same = similar(scaled, vector_query(scaled, x[0] * np.float32(8)), options)

    assert pairs(hits) == pairs(same)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, metric=st.sampled_from(METRICS))
def test_rotation_changes_no_similarity(lab, seed, metric):
    """Rotating the space leaves the similarities of the hits as they were."""
    x, obs = lab.cohort(seed, copies=0, zeros=0)
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((6, 6)))[0]
    table, turned = lab.table(x, obs), lab.table((x @ turn).astype(np.float32), obs)
    options = SimilarOptions(metric=metric, k=5)

    hits = similar(table, scan_query(table, "S0"), options)
    same = similar(turned, scan_query(turned, "S0"), options)

    np.testing.assert_allclose(
        [hit.similarity for hit in hits], [hit.similarity for hit in same], atol=1e-5
    )


@settings(max_examples=25, deadline=None)
@given(seed=seeds, metric=st.sampled_from(("cosine", "euclidean")))
def test_row_order_only_breaks_ties(lab, seed, metric):
    """Shuffling the rows leaves the hits' similarities and, without ties, their ids."""
    x, obs = lab.cohort(seed, copies=0, zeros=0)
    order = np.random.default_rng(seed).permutation(len(x))
    table = lab.table(x, obs)
    shuffled = lab.table(x[order], obs.iloc[order].reset_index(drop=True))
    options = SimilarOptions(metric=metric)

    hits = similar(table, scan_query(table, "S0"), options)
    same = similar(shuffled, scan_query(shuffled, "S0"), options)

    assert pairs(hits) == pairs(same)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, metric=st.sampled_from(METRICS), any_view=st.booleans())
def test_including_self_never_compares_a_scan_with_itself(lab, seed, metric, any_view):
    """With its own patient included, a scan finds the patient's other scans and never itself."""
    table = lab.table(*lab.cohort(seed, copies=0, zeros=0))
    options = SimilarOptions(
        k=99, level="scan", metric=metric, include_self=True, any_view=any_view
    )

    of_scan = similar(table, scan_query(table, "S0"), options)
    of_patient = similar(table, patient_query(table, table.obs["patient_id"][0]), options)

    assert "S0" not in {hit.scan_id for hit in of_scan}
    assert all(hit.scan_id != hit.query_scan_id for hit in of_patient)
    for hits in (of_scan, of_patient):
        assert hits.n_eligible == len(hits)
        assert hits.n_eligible_patients == len({hit.patient_id for hit in hits})


@settings(max_examples=40, deadline=None)
@given(seed=seeds, low=st.integers(20, 90), level=st.sampled_from(["scan", "patient"]))
def test_hits_fulfil_every_condition(lab, seed, low, level):
    """No hit violates a condition, shows another view, or belongs to the query's patient."""
    table = lab.table(*lab.cohort(seed))
    query = scan_query(table, "S0")
    where = (f"age >= {low}", "site != B", "sick is present")

    hits = similar(table, query, SimilarOptions(where=where, level=level))

    for hit in hits:
        assert hit.columns["age"] >= low
        assert hit.columns["site"] in ("A", "C")
        assert hit.columns["sick"] is not None
        assert hit.columns["view"] == query.views[0]
        assert hit.patient_id != query.patient_id


@settings(max_examples=30, deadline=None)
@given(seed=seeds, k=st.sampled_from([1, 3, 50]))
def test_patients_are_distinct(lab, seed, k):
    """A search for k patients gives k different ones, or all there are."""
    table = lab.table(*lab.cohort(seed, visits=50, patients=6))

    hits = similar(table, scan_query(table, "S0"), SimilarOptions(k=k))

    found = [hit.patient_id for hit in hits]
    assert len(set(found)) == len(found) == min(k, hits.n_eligible_patients)


@pytest.mark.parametrize("backend", ["numpy", "faiss-cpu"])
def test_many_equals_one_by_one(lab, monkeypatch, backend):
    """A batch gives each query the answer it gets alone, also when the work is cut into blocks."""
    table = lab.table(*lab.cohort(4, patients=20))
    ids = table.obs["patient_id"].drop_duplicates()
    queries = [patient_query(table, patient) for patient in ids]
    options = SimilarOptions(k=4, where=("age > 30",), backend=backend)
    alone = [similar(table, query, options) for query in queries]

    monkeypatch.setattr(exact, "_BLOCK_VALUES", 100)
    monkeypatch.setattr(exact, "_HELD_VALUES", 1000)
    together = similar_many(table, queries, options)

    assert [answer(hits) for hits in together] == [answer(hits) for hits in alone]


def test_no_queries_no_answers(table):
    """An empty batch is answered by an empty list."""
    assert similar_many(table, []) == []


def test_max_distance_cuts_the_list(lab):
    """Hits further than the largest distance are left out, and the answer says so."""
    table = lab.table(*lab.cohort(6, copies=0, zeros=0, views=False))
    query = scan_query(table, "S0")
    whole = similar(table, query, SimilarOptions(k=4))

    near = similar(table, query, SimilarOptions(k=4, max_distance=whole[1].distance))

    assert pairs(near) == pairs(whole)[:2]
    assert any("are left out" in note for note in near.notes)


def test_nothing_eligible_says_why(table):
    """An empty answer names how many scans were left after each condition."""
    options = SimilarOptions(where=("site == A", "age > 1000"))

    hits = similar(table, scan_query(table, "S0"), options)

    n_site = int((table.obs["site"] == "A").sum())
    assert list(hits) == []
    assert f"{n_site} after site == A, 0 after age > 1000" in hits.notes[-1]


def test_unknown_view_is_compared_with_all(table):
    """A vector of unknown view meets every view, and the answer says so."""
    hits = similar(table, vector_query(table, table.embeddings[0], patient_id="P0"))

    assert hits.n_eligible == int((table.obs["patient_id"] != "P0").sum())
    assert "the query's view is unknown: it is compared with every view" in hits.notes


def test_unknown_patient_is_told(table):
    """A vector without a patient excludes nobody, and the answer says so."""
    hits = similar(table, vector_query(table, table.embeddings[0], view="L1"))

    assert hits.n_eligible == int((table.obs["view"] == "L1").sum())
    assert any(note.startswith("the query's patient is unknown") for note in hits.notes)


@pytest.mark.parametrize("kind", ["scan", "visit", "patient", "file"])
def test_same_bytes_under_two_patients_leave_both_out(lab, kind):
    """Whoever owns the query's bytes is never a hit, however the query is asked; a note says so."""
    x, obs = lab.cohort(3, missing=0)
    own = int(np.flatnonzero(obs["patient_id"] == "P0")[0])
    twin = int(np.flatnonzero(obs["patient_id"] == "P1")[0])
    obs.loc[twin, "content_hash"] = obs["content_hash"][own]
    table = lab.table(x, obs)
    query = {
        "scan": lambda: scan_query(table, obs["scan_id"][own]),
        "visit": lambda: visit_query(table, "P0", day=obs["day"][own]),
        "patient": lambda: patient_query(table, "P0"),
        "file": lambda: vector_query(
            table, x[own], kind="file", content_hash=obs["content_hash"][own]
        ),
    }[kind]()

    hits = similar(table, query, SimilarOptions(k=99, any_view=True))

    assert {hit.patient_id for hit in hits} == set(obs["patient_id"]) - {"P0", "P1"}
    assert hits.n_eligible_patients == len(hits)
    assert any("stored under 2 patients (P" in note for note in hits.notes)


def test_bytes_of_another_than_the_patient_named(table):
    """A file said to be one patient's and stored as another's leaves both out."""
    other = table.obs["content_hash"][int(np.flatnonzero(table.obs["patient_id"] == "P1")[0])]
    query = vector_query(table, np.ones(6), patient_id="P0", content_hash=other)

    hits = similar(table, query, SimilarOptions(k=99))

    assert not {"P0", "P1"} & {hit.patient_id for hit in hits}
    assert "the query's bytes are stored under patient P1, not P0: both are left out" in hits.notes


def test_answer_is_plain_json(table):
    """Columns are Python values, None where missing; the content hash stays inside."""
    hits = similar(table, scan_query(table, "S0"), SimilarOptions(k=100, level="scan"))

    cells = [value for hit in hits for value in hit.columns.values()]
    assert {type(cell) for cell in cells} <= {str, float, bool, type(None)}
    assert set(hits[0].columns) == {"site", "age", "sick", "view", "modality"}
    assert hits.to_json()


def test_the_query_is_told_as_the_store_has_it(lab):
    """A record a scan that hits are like; its content hash is in no table and no JSON."""
    x, obs = lab.cohort(7, missing=0)
    obs = obs.assign(health_score=np.arange(len(obs), dtype=float), content_hash=obs["scan_id"])
    patient = obs["patient_id"][0]

    hits = similar(lab.table(x, obs), patient_query(lab.table(x, obs), patient), SimilarOptions())

    liked = {hit.query_scan_id for hit in hits}
    own = obs[obs["scan_id"].isin(liked)]
    assert [(scan.scan_id, scan.day, scan.health_score) for scan in hits.query_scans] == list(
        own[["scan_id", "day", "health_score"]].itertuples(index=False, name=None)
    )
    assert {scan.patient_id for scan in hits.query_scans} == {patient}
    assert all(hit.content_hash == hit.scan_id for hit in (*hits, *hits.query_scans))
    assert "content_hash" not in hits.to_json()
    assert "content_hash" not in hits.to_frame()
    vector = similar(lab.table(x, obs), vector_query(lab.table(x, obs), x[0]))
    assert vector.query_scans == ()


def test_works_from_a_memory_map(lab, tmp_path):
    """Embeddings on disk give the answer that embeddings in memory give."""
    x, obs = lab.cohort(5)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")

    hits = [similar(t, scan_query(t, "S0")) for t in (lab.table(x, obs), lab.table(mapped, obs))]

    assert answer(hits[0]) == answer(hits[1])


def test_reference_is_named_only_when_used(table):
    """Centred answers name the reference, the others none."""
    query = scan_query(table, "S0")

    assert similar(table, query).reference == table.reference.fingerprint
    assert similar(table, query, SimilarOptions(metric="cosine")).reference == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k is 0: ask for at least 1 hit"),
        ({"level": "organ"}, "no level 'organ'"),
        ({"metric": "manhattan"}, "no metric 'manhattan'"),
        ({"max_distance": -1.0}, "--max-distance is -1.0: give a number from 0"),
        ({"max_distance": float("nan")}, "--max-distance is nan: give a finite number"),
        ({"max_distance": float("inf")}, "--max-distance is inf: give a finite number"),
        ({"until_day": float("inf")}, "--until-day is inf: give a finite number"),
        ({"until_day": float("nan")}, "--until-day is nan: give a finite number"),
        ({"as_of": float("inf")}, "--as-of is inf: give a finite number"),
        ({"max_distance": "1"}, "--max-distance is '1': give a finite number"),
        ({"k": True}, "k is True: ask for at least 1 hit"),
        ({"k": 2.0}, "k is 2.0: ask for at least 1 hit"),
        ({"backend": "abacus"}, "no backend 'abacus'"),
        ({"where": ("sit == A",)}, r"no column 'sit' .*did you mean 'site'"),
        ({"until_day": -5.0}, "has no scan until day -5: its days are"),
    ],
)
def test_refuses_impossible_options(table, options, message):
    """An option that cannot be met is refused on one line that names it."""
    with pytest.raises(QueryError, match=message) as caught:
        similar(table, scan_query(table, "S0"), SimilarOptions(**options))
    assert "\n" not in str(caught.value)


def test_numpy_numbers_are_numbers(table):
    """Options counted with NumPy mean what plain ones mean, and the answer is still JSON."""
    asked = SimilarOptions(
        k=np.int64(2), max_distance=np.float32(2), until_day=np.int32(99), any_view=np.True_
    )
    plain = SimilarOptions(k=2, max_distance=2.0, until_day=99.0, any_view=True)
    patient = table.obs["patient_id"][int(np.nanargmin(table.days))]

    hits = [similar(table, patient_query(table, patient), options) for options in (asked, plain)]

    assert answer(hits[0]) == answer(hits[1])
    assert len(hits[0]) == 2
    assert '"k": 2' in hits[0].to_json()


def test_centring_needs_a_reference(table):
    """Without a reference the default metric is refused and another one works."""
    bare = SearchTable(table.embeddings, table.obs)

    with pytest.raises(QueryError, match="no reference to centre on: run refit"):
        similar(bare, scan_query(bare, "S0"))
    assert similar(bare, scan_query(bare, "S0"), SimilarOptions(metric="cosine"))


@pytest.mark.parametrize("metric", METRICS)
def test_refuses_embeddings_that_are_not_finite(table, metric):
    """A stored NaN is found when rows are prepared, not returned as a similarity."""
    x = table.embeddings.copy()
    x[3, 2] = np.nan
    broken = SearchTable(x, table.obs, reference=table.reference)

    with pytest.raises(QueryError, match="holds NaN or infinity: run verify"):
        similar(broken, vector_query(broken, np.ones(6)), SimilarOptions(metric=metric))
