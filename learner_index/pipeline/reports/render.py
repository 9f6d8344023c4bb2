"""A page as HTML that needs nothing else: no script, no font, no file, no network."""

import base64
import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from learner_index.pipeline.reports.page import Page

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_LONGEST = 20  # letters without a place to break
_SEPARATORS = re.compile(r"(?<=[_/])")
TEMPLATE, STYLE = "report.html.j2", "report.css"


def render(page: Page) -> str:
    """The page as HTML; equal pages give equal text."""
    templates = _templates()
    style = templates.get_template(STYLE).render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )
    return templates.get_template(TEMPLATE).render(page=page, style=style, policy=policy)


@lru_cache(maxsize=1)
def _templates() -> "Environment":
    """The templates beside this file; what is put into them is escaped, what is missing fails."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("learner_index.pipeline.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters["breakable"] = breakable
    return found


def breakable(text: str) -> "Markup":
    """Escaped text whose long words, such as ids, may break at the end of a line."""
    from markupsafe import Markup, escape

    pieces = [piece for word in _SEPARATORS.split(text) for piece in _chunks(word)]
    return Markup("<wbr>").join(escape(piece) for piece in pieces)


def _chunks(word: str) -> list[str]:
    """A text in pieces without a place to break that is longer than `_LONGEST`."""
    if max(map(len, word.split(" ")), default=0) <= _LONGEST:
        return [word]
    return [word[i : i + _LONGEST] for i in range(0, len(word), _LONGEST)]
