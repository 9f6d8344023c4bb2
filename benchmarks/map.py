"""How long does a map of a large cohort take, and how large and quick is its page?

    OMP_NUM_THREADS=1 python benchmarks/map.py [--scans 100000] [--browser]
    OMP_NUM_THREADS=1 python benchmarks/map.py --store stores/cohort.zarr

SIMULATED embeddings of 128 values: five visits a patient, a third of them missing the score. The
store is not read. `--browser` opens the page in headless Chromium with its software renderer,
waits until all scans are drawn, drags the map by 40 steps, and changes the column 5 times. On a
machine that does other work, processor seconds tell more than wall seconds. `--store` says how many
neighbours the maps of a store keep, whether arrows point where places go, and how far neighbours
agree on them beside chance.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.maps.balanced import balanced_sample
from learner_index.analysis.maps.linear import LinearMap
from learner_index.analysis.maps.neighborly import NeighborMap
from learner_index.analysis.maps.quality import kept_by_placed, map_quality
from learner_index.analysis.plots.cohort_map import lay_out_cohort_map
from learner_index.analysis.plots.cohort_map_html import cohort_map_page
from learner_index.data.maps import CohortMap, kept_words
from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.evaluation.tables import markdown

WIDTH, VISITS, FITTED = 128, 5, 5000
_PROBE = """<script>(async () => {
const wait = () => new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)));
while (!document.body.dataset.drawn) await wait();
const told = {drawn_ms: performance.now(), drag_ms: [], drop_ms: [], recolor_ms: []};
const map = document.getElementById('map'), choice = document.getElementById('color');
const layer = map.querySelector('.nsewdrag'), box = layer.getBoundingClientRect();
const fire = (target, kind, i) => target.dispatchEvent(new MouseEvent(kind, {bubbles: true,
  cancelable: true, view: window, buttons: 1, clientX: box.x + box.width / 2 + 4 * i,
  clientY: box.y + box.height / 2 + 2 * i}));
const before = map.layout.xaxis.range[0];
fire(layer, 'mousedown', 0);
for (let i = 1; i <= 40; i += 1) { const start = performance.now();
  fire(document, 'mousemove', i); await wait(); told.drag_ms.push(performance.now() - start); }
const drop = performance.now(); fire(document, 'mouseup', 40); await wait();
told.drop_ms.push(performance.now() - drop); told.moved = map.layout.xaxis.range[0] - before;
for (const name of ['site', 'day', 'view', 'age', 'patient_id']) { const start = performance.now();
  choice.value = name; choice.dispatchEvent(new Event('change')); await wait();
  told.recolor_ms.push(performance.now() - start); }
navigator.sendBeacon('/told', JSON.stringify(told));
})();</script></body>"""


def cohort(n: int) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """(n, e) SIMULATED embeddings on a curved sheet with noise, and nine columns."""
    rng = np.random.default_rng(0)
    patient = np.arange(n) // VISITS
    state = rng.normal(size=(patient[-1] + 1, 3))[patient] + 0.3 * rng.normal(size=(n, 3))
    bent = np.column_stack([state, np.sin(2 * state), np.cos(2 * state)])
    found = bent @ rng.normal(size=(9, WIDTH)) + 0.5 * rng.normal(size=(n, WIDTH))
    scans = pd.DataFrame(
        {
            "scan_id": [f"p{p:06d}_v{i % VISITS}" for i, p in enumerate(patient.tolist())],
            "patient_id": [f"p{p:06d}" for p in patient.tolist()],
            "day": np.arange(n) % VISITS * 3.0,
            "view": np.array(["L1", "L2", "R1", "R2"])[rng.integers(0, 4, n)],
            "health_score": np.where(rng.random(n) < 1 / 3, np.nan, 300 + 60 * state[:, 0]),
            "site": np.array([f"site-{one}" for one in "ABCDEFGHIJKL"])[rng.integers(0, 12, n)],
            "sex": np.array(["f", "m"])[patient % 2],
            "age": rng.integers(20, 95, patient[-1] + 1)[patient].astype(float),
            "spo2": np.round(rng.normal(94, 3, n)),
        }
    )
    return found.astype(np.float32), scans


@contextmanager
def timed(table: list[list[str]], what: str) -> Iterator[None]:
    """Adds a row: wall and processor seconds."""
    print(f"· {what}", file=sys.stderr)
    wall, processor = time.perf_counter(), time.process_time()
    yield
    spent = time.perf_counter() - wall, time.process_time() - processor
    table.append([what, *(f"{one:.2f}" for one in spent)])


def measure(n: int, page: Path) -> tuple[list[list[str]], list[str]]:
    """Rows of seconds, and lines about the map; the page is written."""
    table: list[list[str]] = []
    embeddings, scans = cohort(n)
    moved = embeddings - embeddings.mean(axis=0)
    patients = np.unique(scans["patient_id"], return_inverse=True)[1]
    with timed(table, f"sample of {FITTED:,}"):
        rows = balanced_sample(scans["scan_id"].tolist(), scans["patient_id"].tolist(), FITTED, 0)
    with timed(table, f"PCA of {len(rows):,}"):
        linear = LinearMap.fit(moved[rows], patients[rows])
    with timed(table, f"PCA: place {n:,}"):
        linear.place(moved)
    with timed(table, "import umap"):
        import umap  # noqa: F401
    with timed(table, f"UMAP of {len(rows):,}, compiling included"):
        fitted = NeighborMap.fit(moved[rows], patients[rows], seed=0)
    with timed(table, f"UMAP: place {n:,}"):
        places = fitted.place(moved)
    changes = np.flatnonzero(np.arange(n) % VISITS < VISITS - 1)
    changes = changes[changes + 1 < n]
    with timed(table, f"UMAP: {len(changes):,} arrows"):
        arrows, share = fitted.arrows(moved[changes], moved[changes + 1] - moved[changes])
    with timed(table, "quality"):
        quality = map_quality(moved[rows], fitted.place(moved[rows]))
    is_fitted = np.isin(np.arange(n), rows)
    placed = kept_by_placed(moved, places, is_fitted)
    found = CohortMap(
        scans=scans.assign(x=places[:, 0], y=places[:, 1], is_fitted=is_fitted),
        arrows=_frame(scans, changes, places, arrows, share),
        method="umap",
        seed=0,
        axes=("UMAP 1 (no unit)", "UMAP 2 (no unit)"),
        space="simulated",
        modality="",
        n_fitted=len(rows),
        n_fitted_patients=len(np.unique(patients[rows])),
        quality={**quality.figures(), "n_kept_placed": placed},
        is_simulated=True,
    )
    with timed(table, "page"):
        page.write_text(cohort_map_page(found), "utf-8")
    with timed(table, "picture"):
        lay_out_cohort_map(found).save(page.with_suffix(".png"))
    lines = [f"page {page.stat().st_size / 1e6:.1f} MB"]
    lines.append(f"fitted on: {quality}")
    lines.append(f"neighbours kept by scans placed: {placed}")
    return table, lines


def _frame(
    scans: pd.DataFrame,
    changes: NDArray[np.int64],
    places: NDArray[np.float64],
    arrows: NDArray[np.float64],
    share: NDArray[np.float64],
) -> pd.DataFrame:
    """Changes as a map has them."""
    before, after = scans.iloc[changes], scans.iloc[changes + 1]
    return pd.DataFrame(
        {
            "patient_id": before["patient_id"].to_numpy(),
            "from_day": before["day"].to_numpy(),
            "to_day": after["day"].to_numpy(),
            "x": places[changes, 0],
            "y": places[changes, 1],
            "end_x": places[changes + 1, 0],
            "end_y": places[changes + 1, 1],
            "dx": arrows[:, 0],
            "dy": arrows[:, 1],
            "share": share,
            "delta_score": after["health_score"].to_numpy() - before["health_score"].to_numpy(),
        }
    )


def browse(page: Path, timeout_s: float = 300) -> dict[str, object]:
    """What the page's clock says in headless Chromium: until drawn, a drag, another column."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8"))
    served, told = text.replace("</body>", _PROBE).encode(), []
    is_told = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        """Serves the page with the probe in it, and hears what it measured."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(served)

        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            is_told.set()

        def log_message(self, *words: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("no Chromium here")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                browser, "--headless=new", "--no-sandbox", "--no-first-run",
                "--enable-unsafe-swiftshader", f"--user-data-dir={profile}",
                "--window-size=1400,950", f"http://127.0.0.1:{server.server_port}/",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            if not is_told.wait(timeout_s):
                raise SystemExit(f"the page was not drawn in {timeout_s:.0f} s")
        finally:
            process.terminate()
            process.wait(20)
            server.shutdown()
    return dict(told[0])


def judge(store: Path) -> list[str]:
    """How many neighbours a store's maps keep, and whether arrows point where places go."""
    lines, opened = [], open_store(store)
    for method in ("pca", "umap"):
        found = opened.map(method=method)
        ways = (
            found.arrows[["dx", "dy"]].to_numpy(),
            (found.arrows[["end_x", "end_y"]].to_numpy() - found.arrows[["x", "y"]].to_numpy()),
        )
        lengths = [np.linalg.norm(way, axis=1) for way in ways]
        known = (lengths[0] > 0) & (lengths[1] > 0)
        cosines = np.sum(ways[0] * ways[1], axis=1)[known] / (lengths[0] * lengths[1])[known]
        lines.append(
            f"{method}: {len(found)} scans of {found.n_patients} patients, "
            f"{kept_words(found.quality)}, trustworthiness {found.quality['trustworthiness']:.3f}; "
            f"cosine of arrow and way between places: mean {cosines.mean():.2f}, "
            f"{100 * np.mean(cosines > 0):.0f} % above 0, n = {known.sum()} changes"
        )
        if found.quality["median_share"] is not None:
            own, chance = (found.quality[f"median_share{end}"] for end in ("", "_by_chance"))
            lines.append(
                f"neighbours agree on arrows by {own:.2f} (median), on changes permuted between "
                f"patients by {chance:.2f}"
            )
    return lines


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=100_000)
    parser.add_argument("--browser", action="store_true")
    parser.add_argument("--store", type=Path, help="of a store: how much its maps keep, instead")
    parser.add_argument("--keep", type=Path, help="where the page stays")
    typed = parser.parse_args()
    if typed.store is not None:
        print("\n".join(judge(typed.store)))
        return
    with tempfile.TemporaryDirectory() as folder:
        page = typed.keep or Path(folder) / "map.html"
        table, lines = measure(typed.scans, page)
        print(markdown(["phase", "wall s", "processor s"], table))
        print("\n".join(lines))
        if typed.browser:
            told = browse(page)
            for name in ("drag_ms", "drop_ms", "recolor_ms"):
                values = np.array(told[name])
                print(f"{name}: median {np.median(values):.0f}, largest {values.max():.0f}")
            print(f"drawn after {told['drawn_ms']:.0f} ms; dragged by {told['moved']:.2f}")


if __name__ == "__main__":
    main()
