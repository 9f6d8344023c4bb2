"""Brings pages of the repository that lie outside docs/ into the site, and turns links to them.

The pages are written to be read in the repository: their links are paths of files. On the site a
link to another page leads there; a link to source code becomes the path in plain sight.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from notebook_page import notebook_page

ROOT = Path(__file__).parents[2]
MOVED = {
    "stores/README.md": "stores.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
_LINK = re.compile(r"(?<!\!)\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_NOTEBOOK = re.compile(r"`(\d\d_\w+)\.ipynb`")


def outside_pages() -> dict[str, str]:
    """Pages the site takes from outside docs/: path in the repository -> path on the site."""
    found = dict(MOVED)
    for path in sorted((ROOT / "benchmarks" / "results").rglob("*.md")):
        name = path.relative_to(ROOT).as_posix()
        found[name] = name.removeprefix("benchmarks/")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        found[f"notebooks/{path.name}"] = f"notebooks/{path.stem}.md"
    found["notebooks/README.md"] = "notebooks/index.md"
    return found


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in the parts of the navigation that follow from what is there."""
    pages = list(outside_pages().values()) + [
        path.relative_to(config.docs_dir).as_posix()
        for path in sorted(Path(config.docs_dir, "reference").glob("*.md"))
    ]
    config.nav = _filled(config.nav, pages)
    return config


def _filled(nav: Any, pages: list[str]) -> Any:
    """The navigation, in which an entry that ends in / stands for all pages of that folder."""
    if isinstance(nav, list):
        return [_filled(entry, pages) for entry in nav]
    if isinstance(nav, dict):
        return {title: _filled(entry, pages) for title, entry in nav.items()}
    if nav.endswith("/"):
        inside = [page for page in pages if page.startswith(nav)]
        inside.sort(key=lambda page: (page != f"{nav}index.md", page))
        return [_entry(page) for page in inside]
    return nav


def _entry(page: str) -> Any:
    """A page in the navigation: under its own title, one of a folder within under its path."""
    _, *folders, name = page.split("/")
    return {f"{'/'.join(folders)}: {name.removesuffix('.md')}": page} if folders else page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/."""
    for source, target in outside_pages().items():
        text = (ROOT / source).read_text(encoding="utf-8")
        content = notebook_page(text) if source.endswith(".ipynb") else text
        files.append(File.generated(config, target, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links of the site."""
    moved = outside_pages()
    sources = {target: source for source, target in moved.items()}
    own = page.file.src_uri
    if own == "notebooks/index.md":
        markdown = _NOTEBOOK.sub(r"[\1](\1.md)", markdown)
    home = PurePosixPath(sources.get(own, f"docs/{own}")).parent

    def turned(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        if re.match(r"[a-z]+:", target):
            return match[0]
        named = os.path.normpath(home / target)
        if named in moved or (named.startswith("docs/") and own in sources):
            on_site = moved.get(named, named.removeprefix("docs/"))
            near = os.path.relpath(on_site, PurePosixPath(own).parent)
            return f"[{text}]({near}{anchor})"
        if not named.startswith("docs/") and (ROOT / named).exists():
            return f"{text} (`{named}`)" if named not in text else f"`{text.strip('`')}`"
        return match[0]

    return "\n".join(
        line if is_code else _LINK.sub(turned, line) for line, is_code in _lines(markdown)
    )


def _lines(markdown: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it stands in a fenced block."""
    fence = ""
    for line in markdown.split("\n"):
        mark = re.match(r"\s*(`{3,}|~{3,})", line)
        yield line, bool(fence) or mark is not None
        if mark and not fence:
            fence = mark[1]
        elif mark and line.strip() == fence:
            fence = ""
