"""`learner-index demo` says what it made, that it is simulated, and what to type next."""

from typer.testing import CliRunner

from learner_index.commands import app
from learner_index.data.simulate import lus_cohort
from learner_index.pipeline import demo


def test_the_demo_tells_what_it_found(monkeypatch, tmp_path):
    """Store, patients alike, gain, picture and five commands are printed."""
    monkeypatch.setitem(lus_cohort._SIZES, "smoke", lus_cohort._Size(6, 32, 2, 2))
    monkeypatch.setattr(demo, "find_spec", lambda name: None)

    shown = CliRunner().invoke(app, ["demo", "--folder", str(tmp_path)])

    assert shown.exit_code == 0, shown.output
    words = " ".join(shown.stdout.split())
    assert "SIMULATED scans of 6 patients" in words
    assert "untrained" in words
    assert "SIMULATED patients most like" in words
    assert "n = 6 simulated patients" in words
    assert shown.stdout.count("\n  learner-index ") == 5
    assert (tmp_path / "similar.png").exists()
