"""The scripts of the recipes make manifests of trees in the layouts that the pages describe."""

from pathlib import Path

import pandas as pd
import pytest

import learner_index as li
from tests.guards import layouts
from tests.guards.blocks import blocks


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    """Makes a layout in an empty folder and runs the script of its page."""

    def made(layout, page, table):
        monkeypatch.chdir(tmp_path)
        layout()
        for block in blocks(f"recipes/{page}.md", "python"):
            exec(block.text, {})
        return pd.read_csv(table).set_index("scan_id")

    return made


def errors(table, manifest, **changes):
    """What `check` has against a manifest, and every scan of it that cannot be read."""
    found = [p for p in li.check_cohort(Path(manifest), changes).problems if p.is_error]
    for path in table["path"]:
        assert li.read_scan(Path(path)).pixels.std() > 0
    return found


def test_adni(manifest, capsys):
    """Images take the nearest examination; a repeat is marked, a localizer is left out."""
    found = manifest(layouts.adni, "adni", "adni.csv")

    assert list(found.index) == ["I13722", "I13723", "I28560", "I11", "I12"]
    assert found["day"].tolist() == [0, 0, 198, 0, 1096]
    assert found["mmse"].tolist()[:4] == [30, 30, 28, 20]
    assert found.loc["I12", ["mmse", "site"]].isna().all()
    assert found["rescan"].tolist() == [False, True, False, False, False]
    assert "date" not in found and "taken" not in found
    assert "1 of 5 images have no examination" in capsys.readouterr().out
    assert errors(found, "adni.csv", score_column="mmse") == []


def test_oasis(manifest, capsys):
    """Days come from the sessions' names, scores from the nearest examination in time."""
    found = manifest(layouts.oasis, "oasis", "oasis.csv")

    assert found.index[0] == "OAS30001_ses-d0129_run-01_T1w"
    assert found["day"].tolist() == [129, 129, 757, 653, 2345]
    assert found["mmse"].tolist()[:4] == [28, 28, 29, 24]
    assert found["rescan"].tolist() == [False, True, False, False, False]
    assert found["sex"].tolist() == ["f", "f", "f", "m", "m"]
    assert "1 of 5 scans have no examination" in capsys.readouterr().out
    assert errors(found, "oasis.csv", score_column="mmse") == []


def test_covid_blues(manifest, capsys):
    """Names give patient, zone and repeat; -99 is no age."""
    found = manifest(layouts.blues, "covid-blues", "blues.csv")

    assert found["view"].tolist() == ["L1", "R2", "L1", "L1", "L3"]
    assert found["rescan"].tolist() == [False, False, False, True, False]
    assert found["severity"].tolist()[:4] == [0, 1, 3, 2]
    assert found["b_lines"].tolist()[1] == "yes"
    assert found["age"].isna().tolist() == [False, False, True, True, True]
    assert "1 of 5 clips have no severity" in capsys.readouterr().out
    rule = {"score_column": "severity", "score_direction": "lower"}
    assert errors(found, "blues.csv", **rule) == []
