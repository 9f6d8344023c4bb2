"""Samples in which no patient outweighs another."""

from hypothesis import given
from hypothesis import strategies as st

from learner_index.analysis.maps.balanced import balanced_sample

COHORTS = st.lists(st.integers(1, 6), min_size=1, max_size=8).map(
    lambda counts: [(f"p{p}s{s}", f"p{p}") for p, n in enumerate(counts) for s in range(n)]
)


@given(COHORTS, st.integers(1, 30), st.integers(0, 5))
def test_no_patient_outweighs_another_who_has_scans_left(cohort, most, seed):
    """The sample is as large as asked, and counts differ by one at most unless scans run out."""
    scans, patients = map(list, zip(*cohort, strict=True))

    rows = balanced_sample(scans, patients, most, seed)

    assert len(rows) == len(set(rows.tolist())) == min(most, len(scans))
    has = {name: patients.count(name) for name in set(patients)}
    taken = {name: sum(patients[row] == name for row in rows) for name in has}
    for name, n in taken.items():
        assert n == has[name] or all(n >= other - 1 for other in taken.values())


@given(COHORTS, st.integers(1, 30), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(cohort, most, random):
    """Rows in another order give the same scans, in the same order."""
    mixed = random.sample(cohort, len(cohort))

    samples = []
    for one in (cohort, mixed):
        scans, patients = map(list, zip(*one, strict=True))
        samples.append([scans[row] for row in balanced_sample(scans, patients, most, 0)])

    assert samples[0] == samples[1] == sorted(samples[0])


def test_another_seed_draws_another_sample():
    """Of 100 patients' scans, two seeds do not draw the same 20."""
    scans = [f"s{number}" for number in range(100)]

    first, second = (set(balanced_sample(scans, scans, 20, seed).tolist()) for seed in (0, 1))

    assert first != second
