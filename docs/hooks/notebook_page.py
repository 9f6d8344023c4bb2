"""A notebook as a page of Markdown: its words, its code, and the outputs that are kept in it."""

import json
from collections.abc import Iterator
from typing import Any


def notebook_page(text: str) -> str:
    """The page of a notebook.

    Args:
        text: content of an .ipynb file.
    """
    parts: list[str] = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif source:
            parts += [_fenced(source, "python"), *_outputs(cell)]
    return "\n\n".join(parts) + "\n"


def _outputs(cell: dict[str, Any]) -> Iterator[str]:
    """What a cell printed and showed."""
    for output in cell["outputs"]:
        if "text" in output:
            yield _fenced("".join(output["text"]), "text")
            continue
        data = output.get("data", {})
        if "image/png" in data:
            picture = "".join(data["image/png"]).replace("\n", "")
            yield f'<img alt="output of the cell above" src="data:image/png;base64,{picture}">'
        elif "image/svg+xml" in data:
            yield f"<div>{''.join(data['image/svg+xml'])}</div>"
        elif "text/plain" in data:
            yield _fenced("".join(data["text/plain"]), "text")


def _fenced(text: str, language: str) -> str:
    return f"````{language}\n{text.rstrip()}\n````"
