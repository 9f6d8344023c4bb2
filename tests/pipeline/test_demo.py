"""The demo: everything once, on simulated scans, with or without ImageNet weights."""

import pytest

from learner_index.data.simulate import lus_cohort
from learner_index.errors import EncoderError
from learner_index.pipeline import demo
from learner_index.pipeline.source import ChosenEncoder


@pytest.fixture
def small(monkeypatch):
    """A cohort of six patients."""
    size = lus_cohort._Size(6, 32, 2, 2)
    monkeypatch.setitem(lus_cohort._SIZES, "smoke", size)


@pytest.fixture
def no_weights(monkeypatch):
    """A machine on which the package with ImageNet weights is not installed."""
    monkeypatch.setattr(demo, "find_spec", lambda name: None)


def test_the_demo_needs_no_weights(small, no_weights, tmp_path):
    """Without ImageNet weights it goes on with an untrained network, and says so."""
    lines = []

    found = demo.run_demo(tmp_path, say=lines.append)

    assert found.built.n_rows == found.built.n_embedded > 0
    assert "untrained" in found.encoder
    assert found.sheet.stat().st_size > 10_000
    assert len(found.hits) == 5
    assert found.query not in {hit.patient_id for hit in found.hits}
    assert "simulated, not real" in lines[0]


def test_a_second_demo_goes_on_from_the_first(small, no_weights, tmp_path):
    """The cohort is used again and nothing is embedded twice."""
    demo.run_demo(tmp_path)
    lines = []

    again = demo.run_demo(tmp_path, say=lines.append)

    assert again.built.n_embedded == 0
    assert lines[0] == f"using the simulated cohort already in {tmp_path / 'cohort'}"


def test_a_failing_encoder_is_not_replaced(small, monkeypatch, tmp_path):
    """With the weights installed, an encoder's failure is told, not covered up."""

    def fail(self, manifest, cache):
        raise EncoderError("cannot write the encoder")

    monkeypatch.setattr(demo, "find_spec", lambda name: object())
    monkeypatch.setattr(ChosenEncoder, "for_new_store", fail)

    with pytest.raises(EncoderError, match="cannot write the encoder"):
        demo.run_demo(tmp_path)


def test_the_gain_rests_on_patients(small, no_weights, tmp_path):
    """Its interval holds its mean, and it counts patients, not scans."""
    gain = demo.run_demo(tmp_path).gain

    assert gain.low <= gain.chance - gain.near <= gain.high
    assert gain.n_patients == 6
