"""Both reports as a reader sees them: in a browser, on a phone, and on paper."""

import re

import pytest

from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.reports.report import report_cohort, report_patient
from tests.browser import REQUESTS, console, measure, needs_browser, print_pdf
from tests.pipeline.reports.report_toy import make_store, rows_of, unsynced
from tests.pipeline.response.asking import head_at

pytestmark = [pytest.mark.slow, needs_browser]
LOOK = f"""({{
  width: document.documentElement.scrollWidth, window: innerWidth,
  figures: [...document.images].map(one => [one.width, one.height, one.naturalWidth]),
  requests: {REQUESTS},
  title: document.title,
  wide: [...document.querySelectorAll('main *')].filter(one => !one.closest('.scroll')
    && one.getBoundingClientRect().right > innerWidth + 1).length
}})"""
KINDS = ("patient", "cohort")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A patient's report with everything, whose id is HTML, and the cohort's."""
    folder = tmp_path_factory.mktemp("pages")
    x, obs = rows_of(16)
    odd = '<b>"><script>document.title="owned"</script>'
    obs["patient_id"] = obs["patient_id"].replace({"P3": odd}).astype("string")
    store = make_store(folder / "c.zarr", x, obs, is_simulated=True)
    with unsynced():
        head = head_at(folder / "head", store, alpha=0.3)
    cohort = open_store(store)
    report_patient(cohort, odd, head=head).save(folder / "patient.html")
    report_cohort(cohort).save(folder / "cohort.html")
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [1200, 800, 390])
def test_the_page_fits_the_window(pages, kind, width):
    """Not wider than a desk, a tablet or a phone; every figure is there; nothing is fetched."""
    seen = measure(pages / f"{kind}.html", LOOK, width)

    assert seen["window"] == width
    assert seen["width"] <= width
    assert seen["wide"] == 0
    assert len(seen["figures"]) == {"patient": 2, "cohort": 1}[kind]
    assert all(min(sizes) > 50 for sizes in seen["figures"])
    assert seen["requests"] == []
    assert seen["title"].startswith("SIMULATED ")


@pytest.mark.parametrize("kind", KINDS)
def test_the_console_stays_silent(pages, kind):
    """The page's own policy refuses nothing that the page needs."""
    assert console(pages / f"{kind}.html") == []


@pytest.mark.parametrize("kind", KINDS)
def test_it_prints_to_whole_pages(pages, kind):
    """A PDF of a few pages."""
    target = pages / f"{kind}.pdf"

    print_pdf(pages / f"{kind}.html", target)

    content = target.read_bytes()
    n_pages = len(re.findall(rb"/Type\s*/Page\b", content))
    assert content.startswith(b"%PDF")
    assert 2 <= n_pages <= 12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("paper_mm", [182, 187.9])
def test_nothing_is_cut_on_paper(pages, tmp_path, kind, paper_mm):
    """With the print's rules and the width of A4 or Letter less margins, all of it fits."""
    page = tmp_path / "print.html"
    text = (pages / f"{kind}.html").read_text(encoding="utf-8")
    page.write_text(text.replace("@media print", "@media screen"), encoding="utf-8")
    width = int(paper_mm / 25.4 * 96)

    seen = measure(page, LOOK.replace("!one.closest('.scroll')", "true"), width)

    assert seen["width"] <= width
    assert seen["wide"] == 0
