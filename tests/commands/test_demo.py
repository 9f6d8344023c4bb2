"""`learner-index demo` says what it made, that it is simulated, and what to type next."""

from types import SimpleNamespace

from typer.testing import CliRunner

from learner_index.commands import app
from learner_index.data.records import Hit
from learner_index.pipeline import demo
from learner_index.pipeline.gain import Gain, GainDifference


def test_the_demo_tells_what_it_found(monkeypatch, tmp_path):
    """Store, patients alike, both gains with their difference, picture and commands are printed."""
    hit = Hit(1, "sim-2", 3.0, "sim-2_d03", 0.9, 0.1, "", 200.0, {})
    found = demo.Demo(
        folder=tmp_path,
        store=tmp_path / "cohort.zarr",
        manifest=tmp_path / "cohort.csv",
        run=tmp_path / "run",
        built=SimpleNamespace(n_rows=30, n_patients=6),
        encoder="timm:test_resnet (pretrained)",
        before="ImageNet",
        query="sim-1",
        hits=[hit],
        sheet=tmp_path / "similar.png",
        gain=Gain(60.0, 100.0, 30.0, 50.0, 6, 30),
        gain_before=Gain(80.0, 100.0, 10.0, 30.0, 6, 30),
        improvement=GainDifference(20.0, 5.0, 35.0, 6),
    )
    monkeypatch.setattr(demo, "run_demo", lambda folder, **_: found)

    shown = CliRunner().invoke(app, ["demo", "--folder", str(tmp_path)])

    assert shown.exit_code == 0, shown.output
    words = " ".join(shown.stdout.split())
    assert "30 SIMULATED scans of 6 patients, encoder timm:test_resnet (pretrained)" in words
    assert "SIMULATED patients most like sim-1" in words
    assert "40 closer (30 to 50) with the pretrained encoder" in words
    assert "20 closer (10 to 30) with ImageNet; better by 20 (5 to 35)" in words
    assert "n = 6 simulated patients neither has seen" in words
    assert shown.stdout.count("\n  learner-index ") == 10
    assert f"learner-index map {tmp_path}/cohort.zarr -o {tmp_path}/map\n" in shown.stdout
    assert f"report {tmp_path}/cohort.zarr --patient sim-1 -o {tmp_path}/report.html" in words
