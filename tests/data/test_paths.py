"""Real paths of many files."""

import os

from learner_index.data.paths import Resolver


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
