"""A page as a reader's browser shows it: headless Chromium, one process a question.

Nothing outside the machine can be reached: every host name is unknown to the browser, so that a
page which asks for one logs an error on its console.
"""

import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for path in map(shutil.which, NAMES) if path), None)
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason=f"none of {', '.join(NAMES)} is on the PATH"
)
TIMEOUT_S = 60
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
)
_CSP = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
REQUESTS = (
    "performance.getEntriesByType('resource').map(one => one.name)"
    ".filter(name => !name.startsWith('data:'))"
)
"""What `measure` is asked to learn every address that a page wanted, reachable or not."""
_TELLS = """<script>addEventListener('load', () => parent.postMessage(JSON.stringify(%s), '*'));
</script></head>"""
_FRAME = """<!doctype html><title>frame</title><script>addEventListener('message', event => {
const found = document.createElement('pre'); found.textContent = event.data;
document.body.append(found);});</script>
<body><iframe src="copy.html" style="border:0" width="%d" height="%d"></iframe>"""


def screenshot(page: Path, png: Path, width: int = 1200, height: int = 900) -> None:
    """A picture of the page's first screen."""
    _browse(page, f"--screenshot={png}", width=width, height=height)


def dump(page: Path, width: int = 1200, height: int = 900, wait_ms: int = 1000) -> str:
    """The page's HTML after its scripts have run for some milliseconds of its own time."""
    waits = f"--virtual-time-budget={wait_ms}"
    return _browse(page, "--dump-dom", waits, width=width, height=height).stdout


def console(page: Path, width: int = 1200, height: int = 900, wait_ms: int = 1000) -> list[str]:
    """What the page said on the console, errors of refused and failed requests included."""
    waits = f"--virtual-time-budget={wait_ms}"
    done = _browse(page, "--dump-dom", waits, width=width, height=height)
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def print_pdf(page: Path, pdf: Path) -> None:
    """The page printed, without the browser's own header and footer."""
    _browse(page, f"--print-to-pdf={pdf}", "--no-pdf-header-footer", width=1200, height=900)


def measure(page: Path, expression: str, width: int = 1200, height: int = 900) -> Any:
    """The value of a JavaScript expression in a copy of the page that may run scripts.

    The copy stands in a frame, which may be as narrow as a phone; a window may not.

    Args:
        page: the page; its own policy is taken out of the copy.
        expression: evaluated when the page has loaded; JSON-ready.
        width: of the frame, in pixels.
        height: of the frame, in pixels.
    """
    text = _CSP.sub("", page.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        tells = text.replace("</head>", _TELLS % expression, 1)
        Path(folder, "copy.html").write_text(tells, encoding="utf-8")
        frame = Path(folder, "frame.html")
        frame.write_text(_FRAME % (width, height), encoding="utf-8")
        shown = dump(frame, width + 40, height + 40)
    told = re.search(r"<pre>(.*?)</pre>", shown, flags=re.DOTALL)
    assert told is not None, "the page did not load, or the expression is wrong"
    return json.loads(html.unescape(told.group(1)))


def _browse(page: Path, *flags: str, width: int, height: int) -> subprocess.CompletedProcess[str]:
    """The browser's output after one visit to the page with a profile of its own."""
    assert BROWSER is not None
    with tempfile.TemporaryDirectory() as profile:
        return subprocess.run(
            [
                BROWSER,
                *_FLAGS,
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                *flags,
                page.resolve().as_uri(),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=TIMEOUT_S,
        )
