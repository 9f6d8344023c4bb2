"""What a shell offers after Tab: the words of options, objectives, and stores close by.

Nothing heavy is imported here, for a person waits.
"""

from collections.abc import Callable
from pathlib import Path

Complete = Callable[[str], list[str]]
HEADS = ("antisymmetric", "mlp", "multinomial", "ordinal")


def words(*known: str) -> Complete:
    """Offers those of some words that begin as typed."""

    def offered(incomplete: str) -> list[str]:
        return [word for word in known if word.startswith(incomplete)]

    return offered


def objectives(incomplete: str) -> list[str]:
    """Names of objectives: one a file, told by the card in it, so that none is imported."""
    folder = Path(__file__).parents[1] / "learn" / "objectives"
    files = sorted(folder.glob("*.py"))
    named = [file.stem for file in files if "\nCARD = " in file.read_text(encoding="utf-8")]
    return words(*named)(incomplete)


def score_kinds(incomplete: str) -> list[str]:
    """Kinds of health scores."""
    from learner_index.data.score_kinds import SCORE_KINDS

    return words(*SCORE_KINDS)(incomplete)


def stores(incomplete: str) -> list[str]:
    """Stores in the folder typed so far and in the folders of it."""
    return _found(incomplete, "*.zarr")


def manifests(incomplete: str) -> list[str]:
    """Tables in the folder typed so far and in the folders of it."""
    return [name for kind in ("csv", "tsv", "parquet") for name in _found(incomplete, f"*.{kind}")]


def sources(incomplete: str) -> list[str]:
    """Stores and tables."""
    return [*stores(incomplete), *manifests(incomplete)]


def heads(incomplete: str) -> list[str]:
    """Folders of response heads."""
    return [str(Path(name).parent) for name in _found(incomplete, "head.json", depth=2)]


def _found(incomplete: str, pattern: str, depth: int = 1) -> list[str]:
    """Paths, written as far as they were typed, that fit a pattern; a store is not looked into."""
    start, slash, _ = incomplete.rpartition("/")
    folder = Path(start + slash or ".")
    if not folder.is_dir():
        return []
    found = [file for level in range(depth + 1) for file in folder.glob("*/" * level + pattern)]
    texts = [
        str(file) for file in found if not any(part.suffix == ".zarr" for part in file.parents)
    ]
    return sorted(text for text in texts if text.startswith(incomplete))
