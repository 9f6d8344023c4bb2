"""The demo: everything once, on simulated scans, with or without ImageNet weights."""

import pytest

from learner_index.data.manifest import read_manifest
from learner_index.data.simulate import lus_cohort
from learner_index.errors import EncoderError
from learner_index.pipeline import demo
from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.runs import read_run
from learner_index.pipeline.source import ChosenEncoder


@pytest.fixture(scope="module")
def small():
    """A cohort of 48 small patients, and a training of one epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(lus_cohort._SIZES, "demo", lus_cohort._Size(48, 32, 2, 1))
        quick = {"training.epochs": 1, "encoder.size": 32, "batches.patients": 8}
        patch.setattr(demo, "SETTINGS", demo.SETTINGS | quick)
        yield patch


@pytest.fixture(scope="module")
def first(small, tmp_path_factory):
    """What the demo finds without ImageNet weights, and what it says meanwhile."""
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "find_spec", lambda name: None)
        found = demo.run_demo(tmp_path_factory.mktemp("demo"), say=lines.append)
    return found, lines


def test_the_demo_needs_no_weights(first):
    """Without ImageNet weights it compares with an untrained network, and says so."""
    found, lines = first

    assert found.built.n_rows == found.built.n_embedded > 0
    assert "untrained" in found.before
    assert found.encoder == "timm:test_resnet (pretrained)"
    assert found.sheet.stat().st_size > 10_000
    assert 0 < len(found.hits) <= 5
    assert found.query not in {hit.patient_id for hit in found.hits}
    assert "simulated, not real" in lines[0]


def test_the_store_holds_new_patients_only(first):
    """Nobody in the store trained or tuned its encoder; the manifest says who did."""
    found, _ = first
    run = read_run(found.run)
    manifest = read_manifest(found.manifest)
    stored = set(open_store(found.store).obs["patient_id"])

    assert stored == set(run["patients"]["unseen"])
    assert set(open_store(found.store).obs["encoder_role"]) == {"unseen"}
    roles = manifest.table.groupby("patient_id")["split"].first()
    assert set(roles[list(run["patients"]["train"])]) == {"train"}
    assert set(roles[list(run["patients"]["val"])]) == {"val"}
    assert set(roles[sorted(stored)]) == {"test"}


def test_the_gains_rest_on_the_same_new_patients(first):
    """Each interval holds its mean, patients are counted, not scans, and none was seen."""
    found, _ = first

    for gain in (found.gain, found.gain_before):
        assert gain.low <= gain.chance - gain.near <= gain.high
        assert gain.n_patients == 7  # the eighth is alone in its view
        assert gain.n_seen == 0
    both = found.gain.chance - found.gain.near - found.gain_before.chance + found.gain_before.near
    assert found.improvement.mean == pytest.approx(both)


def test_a_second_demo_goes_on_from_the_first(first, monkeypatch):
    """The cohort and the run are used again and nothing is embedded twice."""
    found, _ = first
    lines, weights = [], (found.run / "encoder.safetensors").read_bytes()
    monkeypatch.setattr(demo, "find_spec", lambda name: None)

    again = demo.run_demo(found.folder, say=lines.append)

    assert again.built.n_embedded == 0
    assert (found.run / "encoder.safetensors").read_bytes() == weights
    assert lines[0] == f"using the simulated cohort already in {found.folder / 'cohort'}"


def test_a_failing_encoder_is_not_replaced(first, monkeypatch, tmp_path):
    """With the weights installed, an encoder's failure is told, not covered up."""
    found, _ = first
    for name in ("cohort", "run"):
        (tmp_path / name).symlink_to(found.folder / name)

    def fail(self, manifest, cache):
        raise EncoderError("cannot write the encoder")

    monkeypatch.setattr(demo, "find_spec", lambda name: object())
    monkeypatch.setattr(ChosenEncoder, "for_new_store", fail)

    with pytest.raises(EncoderError, match="cannot write the encoder"):
        demo.run_demo(tmp_path)
