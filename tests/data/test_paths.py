"""Real paths of many files."""

import os
from pathlib import Path

from learner_index.data.paths import Resolver, ScanPaths


def test_real_paths_are_those_of_the_operating_system(tmp_path):
    """Links in folders, links to files, ".." after a link and plain paths agree with realpath."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/f").write_text("f")
    (tmp_path / "to_b").symlink_to(tmp_path / "a/b")
    (tmp_path / "to_f").symlink_to(tmp_path / "a/f")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    names = ["a/f", "to_f", "to_b/../f", "to_b/x", "a/b/..", "a/./f", "a/b/", "none/x", "round/x"]
    resolver = Resolver()

    for name in names:
        path = f"{tmp_path}/{name}"
        assert resolver.real(path) == os.path.realpath(path)
    assert resolver.real("/x") == "/x"


def test_looking_gives_a_stamp_to_plain_files_only(tmp_path):
    """A file's stamp is its inode, size and time; links, folders and nothing have none."""
    (tmp_path / "f").write_text("four")
    (tmp_path / "link").symlink_to(tmp_path / "f")
    status = (tmp_path / "f").stat()
    resolver = Resolver()

    stamps = {name: resolver.look(f"{tmp_path}/{name}")[1] for name in ("f", "link", ".", "none")}

    plain = f"{status.st_ino}:4:{status.st_mtime_ns}"
    assert stamps == {"f": plain, "link": "", ".": "", "none": ""}


def test_scan_paths_are_a_sequence_of_paths():
    """Items, slices, iteration and equality are those of a tuple of paths."""
    paths = ScanPaths(["/a/x//y.npy", "/b"], ["1:2:3", ""])

    assert paths[0] == Path("/a/x/y.npy")
    assert paths == (Path("/a/x/y.npy"), Path("/b"))
    assert paths != (Path("/b"),)
    assert paths[1:] == [Path("/b")]
    assert paths[:1].stamps == ("1:2:3",)
    assert list(paths) == [paths[0], paths[1]]
    assert len(paths) == 2


def test_scan_paths_do_not_show_paths():
    """A path may name a patient, so a printed manifest tells only how many there are."""
    assert repr(ScanPaths(["/meyer/a"])) == "ScanPaths(1 paths)"
