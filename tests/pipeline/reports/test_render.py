"""The page as HTML: escaped, whole, the same each time, and in need of nothing else."""

import base64
import hashlib
import html
import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markupsafe import escape

from learner_index.pipeline.reports.page import Bars, Figure, Page, Section, table
from learner_index.pipeline.reports.render import _templates, breakable, render
from tests.pipeline.reports.report_toy import Read

TAG = re.compile(r"<(?!wbr)[a-z]")
EVIL = ("<b>", '"><script>alert(1)</script>', "'onload='x", "&amp;", "{{ 7*7 }}", "{% raw %}")


def page_of(word="ok", missing=""):
    """Every part of a page, with this word in every place."""
    section = Section(
        "one",
        word,
        missing=missing,
        warnings=(word,),
        said=(word,),
        facts=((word, word),),
        blocks=(
            table(word, (word, "n"), [(word, 1)], marked=[0]),
            Figure("data:image/png;base64,AA==", word, 10, 10),
            Bars(word, ((word, 0.5, word),)),
        ),
        notes=(word,),
    )
    return Page(word, word, (word,), (section,), word)


@pytest.mark.parametrize("word", EVIL)
def test_no_text_becomes_a_tag(word):
    """Ids such as <b> are read as they are written, in every place."""
    found = render(page_of(word))

    read = Read(found)
    plain = render(page_of("ok"))
    assert found.replace("<wbr>", "").count(str(escape(word))) >= 14
    assert len(TAG.findall(found)) == len(TAG.findall(plain))
    assert "<script" not in found
    assert read.wrong == []
    assert read.images[0]["alt"] == word


def test_nothing_outside_is_named():
    """No address but anchors and data; the policy refuses the rest, and names the one style."""
    found = render(page_of())

    style = re.search(r"<style>(.*?)</style>", found, flags=re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = html.unescape(re.search(r'Policy" content="([^"]*)"', found).group(1))
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert f"'sha256-{digest}'" in policy
    assert all(link.startswith(("#", "data:")) for link in Read(found).links)
    assert "url(" not in style
    assert "@import" not in style
    assert "http" not in found.replace("http-equiv", "")
    assert 'style="' not in found


def test_equal_pages_give_equal_text():
    """Nothing depends on the clock or the order of a dictionary."""
    assert render(page_of()) == render(page_of())


def test_tags_are_nested_and_the_language_is_named():
    """Screen readers are told the language; tables have captions and headers with a scope."""
    found = render(page_of())

    assert Read(found).wrong == []
    assert Read(found).open == []
    assert found.startswith('<!doctype html>\n<html lang="en">')
    assert found.count("<caption>") == found.count("<table") == 2
    assert [level for level, _ in Read(found).headings] == [1, 2]


def test_a_section_that_is_missing_says_why_in_its_place():
    """It stays in the list of sections, marked, and its heading is there."""
    found = render(page_of("word", missing="No head was named."))

    assert '<p class="missing">No head was named.</p>' in found
    assert "(not given)" in found


def test_what_a_template_lacks_is_an_error():
    """A misspelt name is no blank."""
    with pytest.raises(UndefinedError, match="'pgae' is undefined"):
        _templates().from_string("{{ pgae.title }}").render(page=1)


def test_the_templates_are_part_of_the_package():
    """An installed package finds them beside its modules."""
    folder = files("learner_index.pipeline.reports") / "templates"

    assert {one.name for one in folder.iterdir()} >= {
        "report.html.j2",
        "blocks.html.j2",
        "report.css",
    }


@given(st.text(max_size=80))
def test_breaking_changes_no_word(text):
    """Without its places to break, a text is the escaped text."""
    assert html.unescape(str(breakable(text)).replace("<wbr>", "")) == text


def test_long_ids_may_break():
    """After _ and /, and every 20 letters of a word without either; numbers never."""
    assert str(breakable("sim_01/a")) == "sim_<wbr>01/<wbr>a"
    assert str(breakable("x" * 45)) == "<wbr>".join(["x" * 20, "x" * 20, "x" * 5])
    assert "<wbr>" not in str(breakable("0.503 (0.428 to 0.572)"))
