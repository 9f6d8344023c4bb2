"""The cohort in numbers."""

import json

from learner_index.config import ManifestOptions
from learner_index.data.manifest import read_manifest
from learner_index.data.report import ScoreSummary, Spread, report_of

TEXT = """scan_id,patient_id,path,day,view,modality,site,treatment,severity
s1,p1,a,0,L1,us,A,drug,1
s2,p1,b,0,L2,us,A,drug,3
s3,p1,c,4,L1,us,A,,0
s4,p1,d,10,L1,us,A,,
s5,p2,e,2,L1,us,B,,2
s6,p3,f,,L1,ct,B,,
"""


def summary(tmp_path, text=TEXT, **options):
    (tmp_path / "m.csv").write_text(text)
    return report_of(read_manifest(tmp_path / "m.csv", ManifestOptions(**options)), ())


def test_counts_are_those_of_a_small_cohort_counted_by_hand(tmp_path):
    """Visits, follow-up, gaps, values and scores agree with a count by hand."""
    found = summary(tmp_path, score_column="severity", score_direction="lower")

    assert (found.n_scans, found.n_patients, found.n_visits, found.n_without_visit) == (6, 3, 4, 1)
    assert found.n_patients_followed == 1
    assert found.visits_per_patient == Spread(1, 2, 3)
    assert found.days_between_visits == Spread(4, 5, 6)
    assert found.views == {"L1": 5, "L2": 1}
    assert found.modalities == {"ct": 1, "us": 5}
    assert found.sites == {"A": 4, "B": 2}
    assert found.treatments == {"drug": 2}
    assert found.splits == {}
    assert found.score == ScoreSummary("severity", "lower", "scan", 4, 2, 1, Spread(0, 1.5, 3))
    assert found.columns["severity"].n_missing == 2
    assert found.clock == "patient"


def test_cohort_without_days_or_scores_has_no_spread(tmp_path):
    """What cannot be counted is null in the JSON, never a number."""
    found = summary(tmp_path, "scan_id,patient_id,path\ns,p,a\n")

    answer = json.loads(found.to_json())
    assert answer["days_between_visits"] == {"minimum": None, "median": None, "maximum": None}
    assert answer["score"] is None
    assert answer["n_visits"] == 0
    assert answer["has_errors"] is False
