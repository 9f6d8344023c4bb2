"""What a store remembers for an answer."""

import numpy as np

from learner_index.pipeline.response.known import _sample


def test_very_many_questions_look_among_fewer_examples():
    """A sample in the examples' order, the same each time, and told; few are all looked at."""
    patient = np.repeat(np.arange(3000), 3)
    rows = np.arange(9000)[::2]

    all_of_them, none = _sample(rows, patient, 1000)
    many = np.arange(9000)
    some, notes = _sample(many, patient, 10**9)

    assert all_of_them is rows
    assert none == ()
    assert len(some) == len(set(some.tolist())) == 5000
    assert (np.diff(some) > 0).all()
    assert np.array_equal(some, _sample(many, patient, 10**9)[0])
    assert notes == ("the nearest are looked for among 5,000 of 9,000 examples",)
