"""The reference on its way through a store: every field to the last bit, and nothing beside it."""

import json
import shutil
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import anndata
import numpy as np
import pytest
import store_toy

from learner_index.data.reference import ChangeReference, NoiseFloor, SeverityAxis
from learner_index.store.reader import StoreReader
from learner_index.store.reference import read_reference, reference_mapping
from learner_index.store.verify import verify_store
from learner_index.store.writer import open_writer

ARCHIVES = Path(__file__).parents[1] / "archives"
WIDTH = store_toy.WIDTH
NAN = float("nan")


def axis(rng, **changes):
    """An axis with numbers no other field has."""
    numbers = {
        "r2": 0.1 + 0.2,
        "angle_deg": 12.5,
        "angle_high_deg": 30.25,
        "mean_difference_deg": 1 / 3,
        "slope_between": -2.5,
        "slope_within": -1.5,
        "slope_within_low": -3.5,
        "slope_within_high": 1e-300,
        "penalty": 1e22,
        "n_visits": 11,
        "n_patients": 7,
        "n_followed": 3,
    }
    return SeverityAxis(
        direction=rng.standard_normal(WIDTH),
        draws=rng.standard_normal((5, WIDTH)).astype(np.float32),
        pattern=rng.standard_normal(WIDTH),
        **(numbers | changes),
    )


def noise(rng, is_independent=True):
    """Three repeats of two patients."""
    differences = rng.standard_normal((3, WIDTH)).astype(np.float32)
    return NoiseFloor(differences, np.array([0, 0, 1]), is_independent)


def changes(seed=0, **others):
    """What is known of one modality."""
    rng = np.random.default_rng(seed)
    whole = ChangeReference(
        view_means={"": rng.standard_normal(WIDTH), "L1/ä": rng.standard_normal(WIDTH)},
        center=rng.standard_normal(WIDTH),
        whitening=rng.standard_normal((WIDTH, WIDTH)),
        is_noise_whitened=True,
        start_bandwidth=0.1 + 0.2,
        day_bandwidth=1 / 3,
        effective_rank=2.5,
        n_visits=12,
        n_transitions=9,
        n_patients=8,
        noise=noise(rng),
        axis=axis(rng),
        notes=("first “note”", 'second\n"note"'),
    )
    return replace(whole, **others)


RNG = np.random.default_rng(9)
KNOWN = {
    "whole": changes(),
    "unknown slopes": changes(
        axis=axis(
            RNG, r2=NAN, slope_within=NAN, slope_within_low=NAN, slope_within_high=NAN, n_followed=0
        )
    ),
    "session repeats": changes(noise=noise(RNG, is_independent=False)),
    "no noise": changes(noise=None, is_noise_whitened=False),
    "no axis": changes(axis=None, notes=("no severity axis: why",)),
    "nothing but means": changes(
        noise=None, axis=None, notes=(), start_bandwidth=0.0, day_bandwidth=0.0, effective_rank=0.0
    ),
    "one view": changes(view_means={"": np.arange(WIDTH, dtype=float)}),
}


def with_changes(by_modality):
    return replace(store_toy.reference(), changes=by_modality)


def require_equal(found, expected, where="reference"):
    """Every field of two records, to the last bit and of one type."""
    assert type(found) is type(expected), where
    if is_dataclass(expected):
        for field in fields(expected):
            pair = getattr(found, field.name), getattr(expected, field.name)
            require_equal(*pair, f"{where}.{field.name}")
    elif isinstance(expected, dict):
        assert list(found) == list(expected), where
        for key in expected:
            require_equal(found[key], expected[key], f"{where}[{key!r}]")
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype, where
        np.testing.assert_array_equal(found, expected, err_msg=where)
    else:
        assert found == expected or (found != found and expected != expected), where


def stored(path, reference):
    """The path of a store of five rows with this reference."""
    with open_writer(path) as writer:
        writer.create(WIDTH, store_toy.KINDS, store_toy.SETTINGS)
        writer.append(*store_toy.rows(0, 5))
        writer.add_reference(reference)
    return path


def below(path):
    return store_toy.snapshot(path / "uns" / "reference")


@pytest.mark.parametrize("case", KNOWN)
def test_every_field_comes_back(path, case):
    """What is known of changes, with and without each of its parts."""
    reference = with_changes({"US": KNOWN[case]})

    stored(path, reference)

    require_equal(StoreReader(path).reference(), reference)
    assert verify_store(path) == ()


def test_modalities_may_have_any_name(path):
    """A slash, nothing, a letter outside ASCII, a number, dots: names are no paths."""
    names = sorted(["a/b", "", "µ", "1", "../.."])
    reference = with_changes({name: changes(seed) for seed, name in enumerate(names)})

    stored(path, reference)

    require_equal(StoreReader(path).reference(), reference)
    assert {file.name for file in path.parent.iterdir()} == {"cohort.zarr", "cohort.cache"}
    assert verify_store(path) == ()


def test_modalities_do_not_mix_when_given_in_another_order(path):
    """Each name keeps its own."""
    reference = with_changes({"US": changes(1), "CT": changes(2)})

    found = read_reference(reference_mapping(reference)).changes

    require_equal(found["US"], changes(1))
    require_equal(found["CT"], changes(2))


def test_views_do_not_mix_when_given_in_another_order():
    """Each name keeps its own mean."""
    means = {"b": np.full(WIDTH, 2.0), "a": np.full(WIDTH, 1.0)}
    reference = replace(with_changes({"": changes(view_means=means)}), view_means=means)

    found = read_reference(reference_mapping(reference))

    for one in (found.view_means, found.changes[""].view_means):
        assert {name: mean[0] for name, mean in one.items()} == {"a": 1, "b": 2}


def test_facts_are_plain_json(path):
    """Unknown numbers are null: other programs can read them."""
    stored(path, with_changes({"": KNOWN["unknown slopes"]}))

    facts = anndata.read_zarr(path).uns["reference"]["changes"]["0"]["facts"]

    def refuse(name):
        raise ValueError(name)

    found = json.loads(str(facts), parse_constant=refuse)
    assert found["axis"]["slope_within"] is None
    assert found["n_visits"] == 12


def test_settings_have_no_reference(path):
    """They are read at every opening, and the reference is large."""
    stored(path, with_changes({"US": changes()}))

    assert StoreReader(path).settings() == {**store_toy.SETTINGS, "generation": 1}


def test_changes_can_be_left_out(path):
    """Similarity needs none; all else is there."""
    reference = with_changes({"US": changes(), "CT": changes(1)})
    stored(path, reference)

    found = StoreReader(path).reference(with_changes=False)

    require_equal(found, replace(reference, changes={}))


def test_changes_left_out_are_not_looked_at(path):
    """A search goes on when a part it does not need is lost; a question about change is told."""
    stored(path, with_changes({"US": changes()}))
    shutil.rmtree(path / "uns/reference/changes/0/whitening/c")

    assert StoreReader(path).reference(with_changes=False).n_scans == 4
    assert "uns/reference/changes/0/whitening" in str(verify_store(path))


def test_a_rewrite_keeps_the_reference(path):
    """The next generation's files are the same, to the last bit."""
    reference = with_changes({"": KNOWN["unknown slopes"]})
    before = below(stored(path, reference))

    with open_writer(path) as writer:
        writer.compact()

    assert below(path) == before
    assert len(before) > 20
    assert StoreReader(path).generation == 2
    require_equal(StoreReader(path).reference(), reference)


def test_new_settings_keep_the_reference(path):
    """Whoever changes the settings of a store says nothing of its reference."""
    reference = with_changes({"US": changes()})
    stored(path, reference)

    with open_writer(path) as writer:
        present = writer.read()
        rows = np.arange(present.n_rows)
        writer.rewrite(present.obs(), present.kinds, rows, settings={"clock": "patient"})

    require_equal(StoreReader(path).reference(), reference)
    assert StoreReader(path).settings() == {"clock": "patient", "generation": 2}


def test_another_reference_takes_the_place_of_all_of_it(path):
    """Nothing of a modality that is no longer known stays."""
    stored(path, with_changes({"CT": changes(), "US": KNOWN["nothing but means"]}))
    second = with_changes({"US": KNOWN["no axis"]})

    with open_writer(path) as writer:
        writer.add_reference(second)

    require_equal(StoreReader(path).reference(), second)
    assert not (path / "uns/reference/changes/1").exists()
    assert not (path / "uns/reference/changes/0/axis_draws").exists()


def test_appended_rows_leave_the_reference(path):
    """Files as before, the same generation."""
    reference = with_changes({"US": changes()})
    before = below(stored(path, reference))

    with open_writer(path) as writer:
        writer.append(*store_toy.rows(5, 9))

    assert below(path) == before
    require_equal(StoreReader(path).reference(), reference)


def test_a_store_before_its_first_reference(path):
    """None, not an empty one."""
    store_toy.make(path, 3)

    assert StoreReader(path).reference() is None
    assert StoreReader(path).reference(with_changes=False) is None


@pytest.mark.parametrize("archive", sorted(ARCHIVES.glob("*.zip")), ids=lambda file: file.stem)
def test_an_old_store_knows_no_changes(tmp_path, archive):
    """Written before anything of changes was: its means are read, and it can be refitted."""
    shutil.unpack_archive(archive, tmp_path)
    path = tmp_path / "archive.zarr"
    require_equal(StoreReader(path).reference(), store_toy.reference())
    fresh = with_changes({"": changes()})

    with open_writer(path) as writer:
        writer.add_reference(fresh)

    require_equal(StoreReader(path).reference(), fresh)


def test_a_reference_without_changes_is_stored_as_before():
    """Earlier versions read it: nothing new is in it."""
    found = reference_mapping(store_toy.reference())

    assert set(found) == {"mean", "views", "view_means", "patients", "n_scans", "fingerprint"}
