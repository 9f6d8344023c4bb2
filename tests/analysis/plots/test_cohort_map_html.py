"""The page of a cohort's map: whole, offline, and safe whatever an id says."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from learner_index.analysis.plots.cohort_map_html import cohort_map_page
from learner_index.errors import QueryError
from tests.analysis.plots.maps_toy import toy_map
from tests.browser import dump, needs_browser

EVIL = "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
PNG = b"\x89PNG\r\n\x1a\n"


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def data_of(page):
    """What the page's script is given."""
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def numbers(packed):
    """Numbers as the page's script unpacks them."""
    return np.frombuffer(base64.b64decode(packed["data"]), f"<{packed['kind']}")


def cells(column):
    """A column as the page's script reads it."""
    if "numbers" in column:
        return numbers(column["numbers"]).tolist()
    values = [None, *column["values"]]
    codes = numbers(column["codes"]) if "codes" in column else range(1, len(values))
    return [values[code] for code in codes]


def with_injected(page, script):
    """The page without its policy, and with a script more at its end."""
    open_page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    return open_page.replace("</body>", f"<script>{script}</script></body>")


def test_it_asks_for_nothing():
    """No tag loads anything, and the policy allows its own two scripts and no request."""
    page = cohort_map_page(toy_map())

    tags = Tags(page).found
    assert not [tag for tag, own in tags if {"src", "href", "action", "data"} & set(own)]
    assert not [tag for tag, _ in tags if tag in ("link", "iframe", "object", "base", "form")]
    (policy,) = [own["content"] for _, own in tags if "http-equiv" in own]
    assert "default-src 'none'" in policy
    assert policy.count("sha256-") == 2
    assert "http" not in policy
    assert "script-src 'unsafe-inline'" not in policy


def test_columns_come_out_as_they_went_in():
    """Unpacked, each column holds each scan's value, None or NaN where missing."""
    found = toy_map()

    data = data_of(cohort_map_page(found))

    unpacked = {column["name"]: cells(column) for column in data["columns"]}
    assert unpacked["scan_id"] == found.scans["scan_id"].tolist()
    assert unpacked["site"] == ["A", "A", "B", "B", "C", "C", None, "A"]
    assert unpacked["rescan"] == ["yes", "no"] * 4
    np.testing.assert_array_equal(unpacked["health_score"], found.scans["health_score"])
    assert numbers(data["arrows"]["patient"]).tolist() == [0, 1, 2, 2]
    assert numbers(data["x"]).tolist() == found.scans["x"].tolist()
    assert "is_fitted" not in unpacked


def test_large_whole_numbers_stay_exact():
    """A number beyond float32 is kept as float64."""
    scans = toy_map().scans.assign(serial=np.arange(8) + 123_456_789.0)

    data = data_of(cohort_map_page(toy_map(scans=scans)))

    (column,) = [one for one in data["columns"] if one["name"] == "serial"]
    assert cells(column) == (np.arange(8) + 123_456_789.0).tolist()


def test_texts_that_repeat_are_written_once():
    """10,000 scans of two sites need two names and 10,000 bytes, not 10,000 names."""
    n = 10_000
    scans = pd.DataFrame(
        {
            "scan_id": [f"s{number}" for number in range(n)],
            "patient_id": [f"p{number % 300}" for number in range(n)],
            "site": ["a hospital with a long name", "another"] * (n // 2),
            "x": 0.0,
            "y": 0.0,
            "is_fitted": True,
        }
    )

    page = cohort_map_page(toy_map(scans=scans, arrows=toy_map().arrows.iloc[:0]))

    assert page.count("a hospital with a long name") == 1
    (patients,) = [c for c in data_of(page)["columns"] if c["name"] == "patient_id"]
    assert patients["codes"]["kind"] == "u2"


def test_an_id_cannot_end_the_data_or_begin_a_tag():
    """A patient whose id is a script stands in the page as text alone."""
    scans = toy_map().scans.assign(patient_id=EVIL)
    evil = toy_map(
        scans=scans, arrows=toy_map().arrows.assign(patient_id=EVIL), notes=(EVIL,), axes=(EVIL, "")
    )

    page = cohort_map_page(evil, color="patient_id", patients=[EVIL], title=EVIL, unit=EVIL)

    assert EVIL not in page
    assert [tag for tag, _ in Tags(page).found].count("script") == 3
    assert "img" not in [tag for tag, _ in Tags(page).found]
    assert cells(data_of(page)["columns"][1]) == [EVIL] * 8


def test_thumbnails_are_there_only_when_given():
    """Without them the page holds no picture; with them, those of the scans drawn."""
    plain, shown = cohort_map_page(toy_map()), cohort_map_page(toy_map(), thumbnails={"s3": PNG})

    assert data_of(plain)["thumbnails"] == {}
    assert list(data_of(shown)["thumbnails"]) == ["3"]
    assert data_of(shown)["thumbnails"]["3"].startswith("data:image/png;base64,iVBO")


def test_it_says_what_it_rests_on_and_its_limits():
    """Caption and notes stand in the page without its script; simulated data is called so."""
    page = cohort_map_page(toy_map(is_simulated=True))

    assert '<span class="badge">SIMULATED</span>' in page
    assert "fitted on 6 scans of 3 patients" in page
    assert "<li>2 scans were placed on the map" in page
    assert "not a medical device" in page


def test_refuses_an_unknown_column():
    """As the picture does."""
    with pytest.raises(QueryError, match=r"no column 'sit' to color by.*'site'"):
        cohort_map_page(toy_map(), color="sit")


@needs_browser
def test_a_browser_draws_it_and_runs_no_id(tmp_path):
    """Chromium draws all scans under the page's policy, and no id runs."""
    scans = toy_map().scans
    scans["patient_id"] = [EVIL, *scans["patient_id"][1:]]
    page = tmp_path / "map.html"
    page.write_text(cohort_map_page(toy_map(scans=scans), color="patient_id"), "utf-8")

    shown = dump(page, wait_ms=3000)

    assert 'data-drawn="8"' in shown
    assert "<title>run" not in shown
    assert "document.title='run'" in shown  # as text, in the legend


@needs_browser
def test_a_scan_tells_its_columns_and_a_click_draws_its_patient(tmp_path):
    """Hovering fills the panel; clicking draws the path; another column recolors."""
    script = """setTimeout(() => { const map = document.getElementById('map');
    const choice = document.getElementById('color'); choice.value = 'site';
    choice.dispatchEvent(new Event('change'));
    map.emit('plotly_hover', {points: [{curveNumber: 1, pointNumber: 0}]});
    map.emit('plotly_click', {points: [{curveNumber: 1, pointNumber: 0}]});
    setTimeout(() => { document.body.dataset.traces = map.data.map(t => t.name).join('; ');
    document.body.dataset.arrows = map.layout.annotations.length; }, 500); }, 1500)"""
    page = tmp_path / "map.html"
    page.write_text(with_injected(cohort_map_page(toy_map()), script), "utf-8")

    shown = dump(page, wait_ms=4000)

    assert 'data-traces="not known (1); A (3); B (2); C (2); p0"' in shown
    assert 'data-arrows="1"' in shown
    assert "<dt>scan_id</dt><dd>s0</dd>" in shown
    assert "<dt>health_score</dt><dd>310</dd>" in shown
    assert "path of p0" in shown
