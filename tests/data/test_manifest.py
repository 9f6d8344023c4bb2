"""Reading manifests: types, order, options, and every problem with its line."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learner_index.config import ManifestOptions
from learner_index.data.manifest import Manifest, read_manifest, require_valid
from learner_index.data.records import ScoreRule
from learner_index.errors import ManifestError

HEAD = "scan_id,patient_id,path"


def read(folder: Path, text: str, options: ManifestOptions | None = None) -> Manifest:
    """The manifest that a text makes."""
    path = folder / "cohort.csv"
    path.write_text(text, encoding="utf-8")
    return read_manifest(path, options or ManifestOptions())


def shown(manifest: Manifest) -> list[str]:
    return [str(problem) for problem in manifest.problems]


def test_columns_get_the_type_of_their_kind(tmp_path):
    """Text is pandas text, numbers are float64, flags boolean, with their own missing values."""
    manifest = read(
        tmp_path,
        f"{HEAD},view,age,smoker,note\ns1,p1,a.png,ap,70,true,\ns2,p2,b.png,NA,,,\n",
    )

    table = manifest.table
    assert manifest.problems == ()
    assert [str(dtype) for dtype in table.dtypes] == ["string"] * 3 + [
        "float64",
        "boolean",
        "float64",
    ]
    assert list(table.columns) == ["scan_id", "patient_id", "view", "age", "smoker", "note"]
    assert table["view"].isna().tolist() == [False, True]
    assert table["smoker"][1] is pd.NA
    assert manifest.kinds["smoker"] == "flag"
    assert isinstance(table.index, pd.RangeIndex)


def test_paths_are_absolute_and_stay_out_of_the_table(tmp_path):
    """Each row's path is below the manifest's folder; the table has no path column."""
    manifest = read(tmp_path, f"{HEAD}\ns1,p1,x/a.png\n")

    assert manifest.paths == (tmp_path / "x/a.png",)
    assert "path" not in manifest.table
    assert manifest.folder == tmp_path
    assert (manifest.n_scans, manifest.n_patients) == (1, 1)


@pytest.mark.parametrize(
    ("columns", "row", "options", "clock"),
    [
        ("day", "3", {}, "patient"),
        ("date", "2021-03-04", {}, "cohort"),
        ("day", "3", {"clock": "cohort"}, "cohort"),
        ("date", "2021-03-04", {"clock": "patient"}, "patient"),
        ("view", "ap", {}, "patient"),
    ],
)
def test_dates_mean_the_cohort_clock_unless_told_otherwise(tmp_path, columns, row, options, clock):
    """The clock is the one asked for, else cohort with dates, else patient."""
    manifest = read(tmp_path, f"{HEAD},{columns}\ns1,p1,a,{row}\n", ManifestOptions(**options))

    assert manifest.clock == clock


def test_dates_become_days_since_the_cohorts_earliest(tmp_path):
    """A date column turns into whole days from the earliest; the date itself is gone."""
    manifest = read(
        tmp_path,
        f"{HEAD},date\ns1,p1,a,2020-03-01\ns2,p2,b,2020-02-28T23:59\ns3,p2,c,\n",
    )

    np.testing.assert_array_equal(manifest.table["day"], [2.0, 0.0, np.nan])
    assert "date" not in manifest.table
    assert "2020" not in manifest.table.to_csv()


def test_lower_scores_are_turned_and_kept_raw(tmp_path):
    """A score for which lower is healthier is negated, and stays raw under its own name."""
    options = ManifestOptions(score_column="severity", score_direction="lower")

    manifest = read(tmp_path, f"{HEAD},severity\ns1,p1,a,2\ns2,p2,b,0\ns3,p3,c,\n", options)

    np.testing.assert_array_equal(manifest.table["severity"], [2.0, 0.0, np.nan])
    np.testing.assert_array_equal(manifest.table["health_score"], [-2.0, 0.0, np.nan])
    assert not np.signbit(manifest.table["health_score"][1])
    assert manifest.score == ScoreRule("severity", "lower", "scan")


def test_health_score_turned_in_place_has_no_second_column(tmp_path):
    """With the default name only the turned values are in the table."""
    manifest = read(
        tmp_path, f"{HEAD},health_score\ns1,p1,a,-0.0\n", ManifestOptions(score_direction="lower")
    )

    assert list(manifest.table.columns) == ["scan_id", "patient_id", "health_score"]
    assert not np.signbit(manifest.table["health_score"][0])


def test_manifest_without_score_has_no_rule(tmp_path):
    """Without a health_score column there is no score, and that is no problem."""
    manifest = read(tmp_path, f"{HEAD}\ns1,p1,a\n")

    assert manifest.score is None
    assert manifest.problems == ()


BROKEN = {
    "duplicate scan_id": (
        f"{HEAD}\ns1,p1,a\n\ns1,p1,b\n",
        ["lines 2 and 4 s1: scan_id 's1' is given to 2 rows"],
    ),
    "missing scan_id": (f"{HEAD}\nNA,p1,a\n", ["line 2: no scan_id"]),
    "missing patient_id": (f"{HEAD}\ns1,,a\n", ["line 2 s1: no patient_id"]),
    "missing path": (f"{HEAD}\ns1,p1,n/a\n", ["line 2 s1: no path"]),
    "blanks around an id": (f"{HEAD}\ns1 ,p1,a\n", ["line 2 s1: blanks around scan_id 's1'"]),
    "control character in an id": (
        f"{HEAD}\ns1,p\x07,a\n",
        ["line 2 s1: patient_id 'p\\x07' has a control character"],
    ),
    "control character in a path": (
        f'{HEAD}\ns1,p1,"a\nb"\n',
        ["line 2 s1: path 'a\\nb' has a control character"],
    ),
    "score that is no number": (
        f"{HEAD},health_score\ns1,p1,a,good\n",
        ["line 2 s1: health_score 'good' is no number"],
    ),
    "infinite score": (
        f"{HEAD},health_score\ns1,p1,a,1e999\ns2,p1,b,-inf\n",
        [
            "line 2 s1: health_score '1e999' is not a finite number",
            "line 3 s2: health_score '-inf' is not a finite number",
        ],
    ),
    "day that is no number": (
        f"{HEAD},day\ns1,p1,a,1\ns2,p1,b,week 2\n",
        ["line 3 s2: day 'week 2' is no number"],
    ),
    "ambiguous date": (
        f"{HEAD},date\ns1,p1,a,03/04/2021\ns2,p1,b,2021-04-03\n",
        ["line 2 s1: date '##/##/####' is ambiguous: write it as YYYY-MM-DD"],
    ),
    "impossible date": (f"{HEAD},date\ns1,p1,a,2021-02-30\n", ["line 2 s1: date '####-##-##'"]),
    "flag that is none": (
        f"{HEAD},rescan\ns1,p1,a,perhaps\n",
        ["line 2 s1: rescan 'perhaps' is neither true nor false"],
    ),
    "one patient in two splits": (
        f"{HEAD},split\ns1,p1,a,train\ns2,p1,b,train\ns3,p1,c,test\n",
        ["lines 2 and 4: patient 'p1' is in splits 'train' and 'test'"],
    ),
    "null character in a path": (
        f"{HEAD}\ns1,p1,a\x00b\n",
        ["line 2 s1: path 'a\\x00b' has a control character"],
    ),
    "path that leaves the folder": (
        f"{HEAD}\ns1,p1,x/../../a\ns2,p1,/etc/hosts\n",
        [
            "line 2 s1: path 'x/../../a' leaves the manifest's folder",
            "line 3 s2: path '/etc/hosts' leaves the manifest's folder",
        ],
    ),
    "path that is the folder": (
        f"{HEAD}\ns1,p1,.\n",
        ["line 2 s1: path '.' is the manifest's own"],
    ),
    "one path under two patients": (
        f"{HEAD}\ns1,p1,a\ns2,p2,./a\n",
        ["lines 2 and 3: one path under patients 'p1' and 'p2'"],
    ),
    "one path under two splits": (
        f"{HEAD},split\ns1,p1,a,x\ns2,p1,x/../a,y\n",
        [
            "lines 2 and 3: patient 'p1' is in splits 'x' and 'y'",
            "lines 2 and 3: one path under splits 'x' and 'y'",
        ],
    ),
    "one path under two ids": (
        f"{HEAD}\ns1,p1,a\ns2,p1,a\n",
        ["lines 2 and 3: one path under 2 scan ids of one patient"],
    ),
    "column that looks like a name": (
        f"{HEAD},Surname\ns1,p1,a,Meyer\n",
        ["column 'Surname' looks like a name", "--drop-column Surname", "--keep-column Surname"],
    ),
    "column that holds dates": (
        f"{HEAD},seen\ns1,p1,a,4.3.2021\ns2,p1,b,2021-03-05\n",
        ["column 'seen' holds calendar dates"],
    ),
    "column that holds addresses": (
        f"{HEAD},who\ns1,p1,a,x@y.org\n",
        ["column 'who' holds e-mail addresses"],
    ),
    "column the store needs": (
        f"{HEAD},content_hash\ns1,p1,a,1\n",
        ["column name 'content_hash' is used by the store"],
    ),
    "day and date": (f"{HEAD},day,date\ns1,p1,a,1,2021-03-04\n", ["both day and date are given"]),
    "visit on two days": (
        f"{HEAD},visit,day\ns1,p1,a,v1,0\ns2,p1,b,v1,3\ns3,p2,c,v1,9\n",
        ["lines 2 and 3: visit 'v1' of patient 'p1' is on more than one day"],
    ),
    "patient ids alike": (
        f"{HEAD}\ns1,P01,a\ns2,p01,b\ns3,p 01,c\n",
        ["lines 2, 3 and 4: patient ids 'P01', 'p 01' and 'p01' differ only in case or blanks"],
    ),
    "ragged row": (
        f'{HEAD}\ns1,"p\n1",a\ns2,p2\ns3,p3,c\n',
        ["line 4: 2 cells where the header has 3"],
    ),
    "open quote": (
        f'{HEAD}\ns1,p1,a\ns2,"p2,b\ns3,p3,c\n',
        ["line 3: a quote opened here is never closed"],
    ),
    "stray quote": (f'{HEAD}\ns1,"p"1,a\ns2,p2,b\n', ["line 2: a stray quote"]),
    "nearly understood column": (
        f"{HEAD},View\ns1,p1,a,ap\n",
        ["column 'View' is not understood as 'view'"],
    ),
    "dates in ids": (
        f"{HEAD}\np1_2021-03-04_ap,p1,a\n",
        ["scan_id seems to carry calendar dates"],
    ),
    "unnamed column": (f"{HEAD},\ns1,p1,a,7\n", ["column 4 has values but no name"]),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_each_problem_is_told_with_its_line(tmp_path, kind):
    """Every kind of broken manifest is read, and its problem names the line."""
    text, expected = BROKEN[kind]

    manifest = read(tmp_path, text)

    found = "\n".join(shown(manifest))
    for message in expected:
        assert message in found


def test_all_problems_are_told_at_once_in_the_order_of_lines(tmp_path):
    """One file with many faults is read to its end, and all are listed."""
    manifest = read(
        tmp_path,
        f"{HEAD},day,health_score,split,mrn\n"
        "s1,p1,a.png,0,1,train,x\n"
        "s1,p1,b.png,x,1,test,x\n"
        "s3,,c.png,1,bad,,x\n"
        "s4,p4,../d.png,1,1,,x\n"
        "s5,p5\n"
        "s6,p6,a.png,1,1,,x\n",
    )

    assert [(problem.where, problem.message.split(":")[0]) for problem in manifest.problems] == [
        ("", "column 'mrn' looks like a name, an address or a record number"),
        ("lines 2 and 3", "scan_id 's1' is given to 2 rows"),
        ("lines 2 and 3", "patient 'p1' is in splits 'train' and 'test'"),
        ("lines 2 and 7", "one path under patients 'p1' and 'p6'"),
        ("line 3", "day 'x' is no number"),
        ("line 4", "no patient_id"),
        ("line 4", "health_score 'bad' is no number"),
        ("line 5", "path '../d.png' leaves the manifest's folder"),
        ("line 6", "2 cells where the header has 7"),
    ]
    assert len(manifest.errors) == 9
    assert manifest.table["scan_id"].tolist() == ["s1", "s1", "s3", "s4", "s6"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patientid,scan_id,path\np,s,a\n", "patient_id \\(did you mean 'patientid'\\?\\)"),
        ("a,b\n1,2\n", "has no column scan_id, patient_id, path"),
        (f"{HEAD},view,view\ns,p,a,1,2\n", "more than one column named 'view'"),
        (f"{HEAD}\n", "a header but no scans"),
        (f'{HEAD}\n"s1,p,a\n', "no scans \\(line 2: a quote opened here is never closed"),
        ("", "is empty"),
        (" \n\n", "is empty"),
        (f"{HEAD}\ns,p,a\n".replace(",", "|"), "separated by bars"),
        (f"{HEAD}\ns,p,a\n".replace(",", "\t"), "separated by tabs.*rename it to .tsv"),
        (f'"{HEAD}', "the header has a stray quote"),
    ],
)
def test_hopeless_file_is_refused_with_the_next_step(tmp_path, text, message):
    """Only a file of which nothing can be made raises, and says why."""
    with pytest.raises(ManifestError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score_column": "severty"}, "--score-column severty: no such column.*'severity'"),
        ({"score_column": "view"}, "--score-column view: this column has another meaning"),
        ({"drop_columns": ("path",)}, "--drop-column path: this column is required"),
    ],
)
def test_impossible_options_are_refused(tmp_path, options, message):
    """Options that name no usable column are refused with the near name."""
    with pytest.raises(ManifestError, match=message):
        read(tmp_path, f"{HEAD},severity,view\ns,p,a,1,x\n", ManifestOptions(**options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_columns": ("agee",)}, "--keep-column agee: there is no such column.*'age'"),
        ({"drop_columns": ("agee",)}, "--drop-column agee: there is no such column.*'age'"),
        ({"keep_columns": ("age",), "drop_columns": ("age",)}, "cannot be both kept and dropped"),
        ({"keep_columns": ("date",)}, "date is never kept"),
    ],
)
def test_column_options_that_do_not_fit_are_problems(tmp_path, options, message):
    """Unknown or contradicting columns to keep or drop are listed with the other problems."""
    manifest = read(tmp_path, f"{HEAD},age,date\ns,p,a,1,2021-03-04\n", ManifestOptions(**options))

    assert len(manifest.problems) == 1
    assert re.search(message, str(manifest.problems[0]))


def test_refused_columns_can_be_kept_or_dropped(tmp_path):
    """A column that looks identifying stays out unless kept by name; dropped ones are silent."""
    text = f"{HEAD},ward_name,mrn,dob\ns,p,a,x,1,2\n"

    kept = read(tmp_path, text, ManifestOptions(keep_columns=("mrn",), drop_columns=("dob",)))

    assert kept.problems == ()
    assert list(kept.table.columns) == ["scan_id", "patient_id", "ward_name", "mrn"]
    assert list(read(tmp_path, text).table.columns) == ["scan_id", "patient_id", "ward_name"]


def test_second_score_column_is_refused(tmp_path):
    """A health_score column beside the score column named is an error, not overwritten silently."""
    manifest = read(
        tmp_path, f"{HEAD},health_score,sf\ns,p,a,1,300\n", ManifestOptions(score_column="sf")
    )

    assert "there is a column 'health_score' too" in str(manifest.errors[0])
    assert manifest.table["health_score"].tolist() == [300.0]


def test_allow_outside_accepts_paths_elsewhere(tmp_path):
    """With allow_outside a path may leave the folder."""
    manifest = read(tmp_path, f"{HEAD}\ns,p,../a\n", ManifestOptions(allow_outside=True))

    assert manifest.problems == ()


def test_link_that_leaves_the_folder_is_refused(tmp_path):
    """Symbolic links are followed before a path is judged, for files and for folders."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").write_text("a")
    cohort = tmp_path / "in"
    cohort.mkdir()
    (cohort / "file").symlink_to(tmp_path / "out/a")
    (cohort / "dir").symlink_to(tmp_path / "out")
    (cohort / "good").symlink_to(cohort / "other")

    manifest = read(cohort, f"{HEAD}\ns1,p,file\ns2,p,dir/a\ns3,p,good\n")

    assert [problem.where for problem in manifest.errors] == ["line 2", "line 3"]
    assert shown(manifest)[1] == ("lines 2 and 3: one path under 2 scan ids of one patient")


@pytest.mark.parametrize("grouping", ["visit,v1,v1", "day,4,4.0"])
def test_visit_scores_that_differ_are_an_error(tmp_path, grouping):
    """With score_per visit, two scores of one visit are an error naming both lines."""
    name, first, second = grouping.split(",")
    text = f"{HEAD},{name},health_score\ns1,p,a,{first},1\ns2,p,b,{second},2\ns3,p,c,{first},\n"

    manifest = read(tmp_path, text, ManifestOptions(score_per="visit"))

    assert [problem.where for problem in manifest.errors] == ["lines 2 and 3"]
    assert "different health scores" in manifest.errors[0].message
    assert read(tmp_path, text).problems == ()


def test_valid_manifest_passes_and_broken_one_names_the_next_step(tmp_path):
    """require_valid counts the errors, shows the first and names the command that lists all."""
    require_valid(read(tmp_path, f"{HEAD}\ns ,p,a\n"))

    with pytest.raises(
        ManifestError, match=r"2 errors, first line 2 s: no patient_id.*learner-index check"
    ):
        require_valid(read(tmp_path, f"{HEAD}\ns,,a\nt,,b\n"))
    with pytest.raises(ManifestError, match="has 1 error, "):
        require_valid(read(tmp_path, f"{HEAD}\ns,,a\n"))


cells = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=6)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.tuples(cells, numbers, st.none() | st.booleans()), min_size=1, max_size=6))
def test_csv_tsv_and_parquet_of_one_table_read_equal(tmp_path, rows):
    """The format of the file changes neither values nor kinds nor the order of rows."""
    frame = pd.DataFrame(
        {
            "scan_id": [f"s{i}" for i in range(len(rows))],
            "patient_id": "p",
            "path": [f"{i}.png" for i in range(len(rows))],
            "words": pd.array([row[0] for row in rows], dtype="string"),
            "size": np.array([np.nan if row[1] is None else row[1] for row in rows]),
            "is_new": pd.array([row[2] for row in rows], dtype="boolean"),
        }
    )
    frame.to_csv(tmp_path / "m.csv", index=False)
    frame.to_csv(tmp_path / "m.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "m.parquet")

    csv, tsv, parquet = (read_manifest(tmp_path / f"m.{end}") for end in ("csv", "tsv", "parquet"))

    pd.testing.assert_frame_equal(csv.table, tsv.table)
    pd.testing.assert_frame_equal(csv.table, parquet.table)
    assert csv.kinds == tsv.kinds == parquet.kinds
    assert csv.table["scan_id"].tolist() == frame["scan_id"].tolist()
    np.testing.assert_array_equal(csv.table["size"], frame["size"])


def test_parquet_problems_speak_of_rows(tmp_path):
    """In a Parquet file the place of a problem is a row, counted from one."""
    frame = pd.DataFrame({"scan_id": ["a", "a"], "patient_id": ["p", "p"], "path": ["x", "y"]})
    frame.to_parquet(tmp_path / "m.parquet")

    manifest = read_manifest(tmp_path / "m.parquet")

    assert manifest.errors[0].where == "rows 1 and 2"
