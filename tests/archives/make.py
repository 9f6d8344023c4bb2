"""Make this folder's archive of the present layout: `python tests/archives/make.py`.

Each released layout gets one archive, made once by the version that wrote it and then kept: a
test reads all of them for ever. Never make an old one again.
"""

import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "store"))


def main() -> None:
    """Write layout-N.zip from the toy of the store's tests."""
    import store_toy

    from learner_index.store.layout import LAYOUT

    target = HERE / f"layout-{LAYOUT}"
    if target.with_suffix(".zip").exists():
        sys.exit(f"{target.name}.zip is there already, and an archive is never replaced")
    with tempfile.TemporaryDirectory() as folder:
        store_toy.make(Path(folder) / "archive.zarr", 7, piece=4, with_reference=True)
        shutil.rmtree(Path(folder) / "archive.cache")
        shutil.make_archive(str(target), "zip", folder)


if __name__ == "__main__":
    main()
