"""A cohort's map as one web page: works offline, loads nothing, and shows ids as plain text.

Columns are packed as numbers in base64, texts once each, so that 100,000 scans stay fluid. The
page's policy allows its own two scripts by their hashes and no request at all.
"""

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.plots.cohort_map import check_patients, describe
from learner_index.analysis.plots.map_colors import (
    GROUPS,
    MISSING,
    OTHER,
    SYMBOLS,
    choose_column,
    color_by,
    column_words,
    map_columns,
)
from learner_index.data.maps import CohortMap

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

_HERE = Path(__file__).parent
_LARGEST_WHOLE = 2**24  # whole numbers up to here are exact as float32
_PATHS = 200  # patients whose paths a page may open with
_ARROWS = ("x", "y", "end_x", "end_y", "dx", "dy")


def cohort_map_page(
    found: CohortMap,
    *,
    color: str | None = None,
    patients: Sequence[str] = (),
    unit: str | None = None,
    title: str | None = None,
    thumbnails: Mapping[str, bytes] | None = None,
) -> str:
    """The page: scans to hover over, a column to choose, a patient's path at a click.

    Args:
        found: what `Cohort.map` gives.
        color: the column to begin with; None: the health score, else the view.
        patients: whose paths are drawn at first.
        unit: of the column to begin with.
        title: stands above; None: what is drawn.
        thumbnails: scan_id -> a small PNG, shown beside the scan's columns.

    Raises:
        QueryError: no such column or patient.
    """
    column = choose_column(found.scans, color)
    check_patients(found, patients, _PATHS)
    data = _data(found, column, patients, unit, thumbnails or {})
    heading = escape(title or f"{found.method.upper()} of embeddings")
    library, script = _plotly(), _part("cohort_map.js")
    parts = {
        "policy": (
            f"default-src 'none'; script-src {_hash(library)} {_hash(script)} 'unsafe-eval'; "
            "style-src 'unsafe-inline'; img-src data: blob:; form-action 'none'; base-uri 'none'"
        ),
        "name": f"{'SIMULATED: ' if found.is_simulated else ''}{heading}",
        "heading": heading,
        "badge": '<span class="badge">SIMULATED</span>' if found.is_simulated else "",
        "style": _part("cohort_map.css"),
        "caption": escape(describe(found)),
        "notes": "".join(f"<li>{escape(note)}</li>" for note in found.notes),
        "data": _embedded(data),
        "library": library,
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda hit: parts[hit[1]], _part("cohort_map.html"))


def _data(
    found: CohortMap,
    color: str,
    patients: Sequence[str],
    unit: str | None,
    thumbnails: Mapping[str, bytes],
) -> dict[str, Any]:
    """All the page's script needs, JSON-ready."""
    scans = found.scans
    columns = [_column(scans, name, unit if name == color else None) for name in map_columns(scans)]
    owners = next(column for column in columns if column["name"] == "patient_id")
    place = {name: number for number, name in enumerate(owners["values"])}
    arrows = {name: _packed(found.arrows[name].to_numpy(), "f4") for name in _ARROWS}
    arrows["patient"] = _packed(
        np.array([place[name] for name in found.arrows["patient_id"]], np.uint32), "u4"
    )
    pictures = zip(scans["scan_id"].tolist(), range(len(scans)), strict=True)
    return {
        "n": len(found),
        "x": _packed(scans["x"].to_numpy(), "f4"),
        "y": _packed(scans["y"].to_numpy(), "f4"),
        "axes": found.axes,
        "ticks": found.method == "pca",
        "size": round(float(np.clip(260 / np.sqrt(max(len(found), 1)), 2.5, 8)), 1),
        "columns": columns,
        "arrows": arrows,
        "patients": list(patients),
        "color": color,
        "colors": GROUPS,
        "symbols": SYMBOLS,
        "missing": MISSING,
        "other": OTHER,
        "scale": _scale(),
        "thumbnails": {
            row: _picture(thumbnails[name]) for name, row in pictures if name in thumbnails
        },
    }


def _column(scans: pd.DataFrame, name: str, unit: str | None) -> dict[str, Any]:
    """A column, packed: numbers as they are; of texts the different ones, and which a row has.

    Code 0 is a missing text; texts that all differ need no codes.
    """
    values = scans[name]
    own = {"name": name, "words": column_words(name, unit)}
    if values.dtype.kind in "iuf":
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        is_large = np.nanmax(np.abs(numbers), initial=0.0) > _LARGEST_WHOLE
        is_scale = color_by(scans, name).numbers is not None
        return {**own, "scale": is_scale, "numbers": _packed(numbers, "f8" if is_large else "f4")}
    if values.dtype.kind == "b" or isinstance(values.dtype, pd.BooleanDtype):
        values = values.astype(object).map({True: "yes", False: "no"})
    codes, names = pd.factorize(values)
    texts = [str(text) for text in names]
    if len(texts) == len(values):
        return {**own, "values": texts}
    kind = "u1" if len(texts) < 2**8 else "u2" if len(texts) < 2**16 else "u4"
    return {**own, "values": texts, "codes": _packed(codes + 1, kind)}


def _packed(values: NDArray[Any], kind: str) -> dict[str, str]:
    """Numbers as little-endian bytes in base64."""
    layout: DTypeLike = f"<{kind}"
    return {"kind": kind, "data": b64encode(values.astype(layout).tobytes()).decode()}


def _scale() -> list[tuple[float, str]]:
    """The color scale of numbers, as in the static figure."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [(step / 10, to_hex(colormaps["viridis"](step / 10))) for step in range(11)]


def _embedded(data: Mapping[str, Any]) -> str:
    """JSON that can stand in a page: nothing in it can end the element or begin another."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _picture(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _part(name: str) -> str:
    """A part of the page that lies beside this file."""
    return (_HERE / name).read_text("utf-8")


def _plotly() -> str:
    """Plotly's script, of the installed version."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _hash(script: str) -> str:
    """How the page's policy names a script."""
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
