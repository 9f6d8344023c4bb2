"""The documentation as a site: it builds without a warning, is whole, and stays at home."""

import importlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest

import learner_index
from tests.guards.api_reference import FOLDER, names_on_pages, reference
from tests.guards.blocks import DOCS

ROOT = Path(__file__).parents[2]
LOADING = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class Loaded(HTMLParser):
    """Addresses a page loads by itself, and addresses it only links to."""

    def __init__(self):
        super().__init__()
        self.loads = []
        self.links = []
        self.ids = set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if given.get("id"):
            self.ids.add(given["id"])
        if tag in LOADING and given.get("rel") != "canonical":
            self.loads.append(given.get(LOADING[tag]) or "")
        elif tag == "a":
            self.links.append(given.get("href") or "")


@pytest.fixture
def turned(monkeypatch):
    """What the hook makes of a page's text, given its path on the site."""
    monkeypatch.syspath_prepend(DOCS / "hooks")
    hook = importlib.import_module("repository")
    yield lambda text, src_uri: hook.on_page_markdown(
        text, SimpleNamespace(file=SimpleNamespace(src_uri=src_uri)), None, None
    )
    for name in ("repository", "notebook_page"):
        del sys.modules[name]


@pytest.mark.parametrize(
    ("page", "text", "wanted"),
    [
        ("learner.md", "[a](../benchmarks/results/part3.md)", "[a](results/part3.md)"),
        ("howto/gpu.md", "[a](../../stores/README.md#x)", "[a](../stores.md#x)"),
        ("results/part4.md", "[a](../../docs/response.md)", "[a](../response.md)"),
        ("results/part4.md", "[a](part4/planted.md)", "[a](part4/planted.md)"),
        ("response.md", "[data/heads.py](../learner_index/data/heads.py)", "data/heads.py (`{}`)"),
        ("notebooks/index.md", "`01_first_search.ipynb`", "[01_first_search](01_first_search.md)"),
        ("response.md", "[a](concepts.md#x)", "[a](concepts.md#x)"),
        ("response.md", "[a](../benchmarks/none.md)", "[a](../benchmarks/none.md)"),
        ("response.md", "[a](https://zarr.dev)", "[a](https://zarr.dev)"),
        ("response.md", "```\n[a](../stores/README.md)\n```", "```\n[a](../stores/README.md)\n```"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(turned, page, text, wanted):
    """Pages are found at their new place, source is named; code and wrong links stay."""
    assert turned(text, page) == wanted.replace("{}", "learner_index/data/heads.py")


def test_a_notebook_becomes_a_page(monkeypatch):
    """Words, code, what was printed and the picture are on the page."""
    monkeypatch.syspath_prepend(DOCS / "hooks")
    hook = importlib.import_module("notebook_page")
    monkeypatch.delitem(sys.modules, "notebook_page")
    picture = {"data": {"image/png": "AAA\n", "text/plain": ["<Figure>"]}}
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "words"]},
        {"cell_type": "code", "source": "1 + 1", "outputs": [{"text": ["2\n"]}, picture]},
        {"cell_type": "code", "source": "", "outputs": []},
    ]

    page = hook.notebook_page(json.dumps({"cells": cells}))

    assert page.startswith("# Title\nwords\n\n````python\n1 + 1\n````\n\n````text\n2\n````")
    assert 'data:image/png;base64,AAA"' in page
    assert "<Figure>" not in page


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as `make docs` builds it, in a folder of its own."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    """Every page, parsed."""
    found = {}
    for path in sorted(site.rglob("*.html")):
        found[path] = Loaded()
        found[path].feed(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
def test_pages_load_nothing_from_outside(pages):
    """No script, style, font or picture comes from another host."""
    outside = {
        f"{path.name}: {address}"
        for path, page in pages.items()
        for address in page.loads
        if re.match(r"(https?:)?//", address)
    }

    assert outside == set()


@pytest.mark.slow
def test_styles_load_nothing_from_outside(site):
    """No style sheet imports a font or picture from another host."""
    styles = list(site.rglob("*.css"))

    assert styles
    for path in styles:
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", path.read_text("utf-8")), path


@pytest.mark.slow
def test_every_page_is_there(pages, site):
    """Each page of docs/, each notebook, result and contract has its place."""
    names = {path.relative_to(site).as_posix() for path in pages}
    own = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    notebooks = {f"notebooks/{path.stem}.html" for path in (ROOT / "notebooks").glob("*.ipynb")}
    others = {"stores.html", "changelog.html", "results/part3.html", "results/part3/lus.html"}

    assert own | notebooks | others <= names


@pytest.mark.slow
def test_links_lead_somewhere(pages):
    """Every link inside the site ends at a page, and at a heading of it."""
    broken = []
    for path, page in pages.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link) or path.name == "404.html":
                continue
            aim = (path.parent / target).resolve() if target else path
            aim = aim / "index.html" if aim.is_dir() else aim
            known = pages.get(aim)
            if not aim.exists() or (anchor and known and anchor not in known.ids):
                broken.append(f"{path.name}: {link}")

    assert broken == []


@pytest.mark.slow
def test_every_public_name_is_explained(pages):
    """The pages of the reference have the docstring of each public name."""
    ids = [page.ids for path, page in pages.items() if path.parent.name == "reference"]

    assert {f"learner_index.{name}" for name in learner_index.__all__} <= set().union(*ids)


def test_the_python_reference_has_not_drifted():
    """docs/reference is what `python -m tests.guards.api_reference` writes."""
    written = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.md")}

    assert written == reference()


def test_every_public_name_is_on_one_page():
    """No public name lacks a page, and no page names what is not public."""
    assert sorted(names_on_pages()) == sorted(learner_index.__all__)


def test_every_page_has_its_place_in_the_navigation():
    """Each file of docs/ is named in mkdocs.yml, or lies in a folder that it takes whole."""
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    names = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}

    assert {
        name for name in names if name not in listed and not name.startswith("reference/")
    } == set()
