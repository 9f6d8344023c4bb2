"""What a report's page is made of: sections with sentences, facts, tables and pictures.

Every text is plain; the templates escape it. Numbers become text here, a column at a time.
"""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from learner_index.analysis.plots.files import picture_of
from learner_index.errors import LearnerIndexError
from learner_index.pipeline.response.remarks import FITTED
from learner_index.pipeline.roles import MARK

if TYPE_CHECKING:
    from learner_index.analysis.plots.drawing import Drawing

SIMULATED = "SIMULATED DATA: nothing here is about real patients."
RESEARCH = "For research, not a medical device."
_PX_PER_INCH = 138.0  # larger than in print, where a figure is read from nearer
_MOST_DECIMALS = 3
_NUMBER = re.compile(r"-|[<ρ ]*[+\N{MINUS SIGN}]?[\d,.]+( %)?")  # "-" is a value not known
_HEAVY = (MARK, FITTED)  # how notes begin that a reader must not overlook
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text below a caption.

    Attributes:
        caption: what the rows are.
        header: names of the columns.
        rows: one text a column; "-" where nothing is known.
        is_number: whether a column stands to the right.
        marked: rows to be seen first, by position.
    """

    kind: ClassVar[str] = "table"
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_number: tuple[bool, ...]
    marked: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing inside the page.

    Attributes:
        uri: the whole picture as data.
        alt: what it shows, for those who cannot see it.
        width, height: in CSS pixels.
    """

    kind: ClassVar[str] = "figure"
    uri: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Bars:
    """Shares as horizontal bars, each with its text.

    Attributes:
        caption: what the shares are.
        rows: label, share of the longest possible bar (0..1), text beside it.
    """

    kind: ClassVar[str] = "bars"
    caption: str
    rows: tuple[tuple[str, float, str], ...]


Block = Table | Figure | Bars


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report.

    Attributes:
        key: its anchor.
        title: its heading.
        missing: why it cannot be given, in a sentence; "" where it is.
        warnings: what must not be overlooked.
        said: sentences.
        facts: label and text.
        blocks: tables and pictures, in order.
        notes: what a reader should know of the answers above.
    """

    key: str
    title: str
    missing: str = ""
    warnings: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    blocks: tuple[Block, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report.

    Attributes:
        title: of the page and its first heading.
        subtitle: what it is about, in a line.
        warnings: what stands above all else: SIMULATED, SEEN BY ENCODER.
        sections: in order.
        footer: store, generation and fingerprints: what the page was made from.
    """

    title: str
    subtitle: str
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    footer: str


def table(
    caption: str,
    header: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    decimals: int = _MOST_DECIMALS,
    marked: Sequence[int] = (),
) -> Table:
    """Values as a table: the numbers of a column share their decimals and stand to the right.

    Args:
        caption: what the rows are.
        header: names of the columns.
        rows: values; None is shown as "-".
        decimals: most decimals of a number.
        marked: rows to be seen first.
    """
    columns = [[row[i] for row in rows] for i in range(len(header))]
    texts = [_cells(column, decimals) for column in columns]
    numbers = [all(_NUMBER.fullmatch(text) for text in column) for column in texts]
    lines = tuple(tuple(column[i] for column in texts) for i in range(len(rows)))
    return Table(caption, tuple(header), lines, tuple(numbers), tuple(marked))


def figure(drawing: "Drawing", alt: str) -> Figure:
    """A drawing as an SVG of its own inside the page: its ids cannot clash with another's."""
    content = picture_of(drawing, "svg")
    width, height = (round(float(side) * _PX_PER_INCH) for side in drawing.get_size_inches())
    return Figure(data_uri(content, "image/svg+xml"), alt, width, height)


def figure_or_reason(draw: Callable[[], "Drawing"], alt: str) -> tuple[tuple[Figure, ...], str]:
    """A figure, or why there is none; one of both is empty."""
    try:
        return (figure(draw(), alt),), ""
    except LearnerIndexError as problem:
        return (), f"No figure: {problem}."


def data_uri(content: bytes, kind: str) -> str:
    """Bytes as an address that needs no file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def number(value: float | None, decimals: int = 2, *, is_signed: bool = False) -> str:
    """A number as it is printed, with a true minus sign; "-" for none."""
    if value is None or value != value:
        return "-"
    text = f"{value:{'+' if is_signed else ''}z,.{decimals}f}"
    return text.replace("-", _MINUS)


def brief(value: float | None) -> str:
    """A number in as many digits as it needs, four at most, or all before the point."""
    if value is None or value != value:
        return "-"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value + 0.0:.4g}"
    return text.replace("-", _MINUS)


def interval(value: float, low: float, high: float, decimals: int = 2) -> str:
    """A value with the ends of its 95 % interval."""
    if low != low or high != high:
        return number(value, decimals)
    return f"{number(value, decimals)} ({number(low, decimals)} to {number(high, decimals)})"


def percent(share: float, decimals: int = 0) -> str:
    """A share as it is printed."""
    return f"{number(100 * share, decimals)} %"


def p_words(p: float | None) -> str:
    """A p-value as it is printed."""
    if p is None or p != p:
        return "-"
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


def by_weight(notes: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Notes that must not be overlooked, such as SEEN BY ENCODER, and all others, as sentences."""
    lines = [sentence(note) for note in notes]
    heavy = tuple(line for line in lines if line.startswith(_HEAVY))
    return heavy, tuple(line for line in lines if line not in heavy)


def sentence(text: object) -> str:
    """A message as a sentence: one line, a capital, a full stop."""
    line = " ".join(str(text).split())
    line = line[:1].upper() + line[1:]
    return line if line.endswith((".", "!", "?", "`")) else f"{line}."


def _cells(values: Sequence[object], most: int) -> list[str]:
    """One column as texts."""
    floats = [float(v) for v in values if isinstance(v, float) and v == v]
    decimals = _decimals(floats, most)
    return [_cell(value, decimals) for value in values]


def _cell(value: object, decimals: int) -> str:
    """One value as a person reads it."""
    if value is None or value != value:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value, decimals)
    if isinstance(value, int):
        return f"{value:,}".replace("-", _MINUS)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def _decimals(values: Sequence[float], most: int) -> int:
    """Fewest decimals that show all values as they are, and at most so many."""
    return next((d for d in range(most) if all(round(v, d) == v for v in values)), most)
