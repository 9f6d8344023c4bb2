"""The program as a whole: exit codes, stderr, interrupts, closed pipes, version and help."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from learner_index.commands import main
from learner_index.errors import StoreDamagedError
from tests.commands.page import page_rows

ROOT = Path(__file__).parents[2]
INTERRUPTED = page_rows()["Interrupted"]["Ctrl-C"]
SLOW_BUILD = """
import sys, time
from tests.toy import ToyEmbedder
from tests.commands.conftest import ToyChosen
from learner_index.pipeline import source
from learner_index.commands import main

class Slow(ToyChosen):
    def for_store(self, card, cache):
        time.sleep(0.5)
        return super().for_store(card, cache)

def embed(self, frames, real=ToyEmbedder.embed):
    print("embedding", flush=True)
    time.sleep(1)
    return real(self, frames)

ToyEmbedder.embed = embed
source.ChosenEncoder = Slow
sys.argv = ["learner-index", "build", "cohort.csv", "-o", "new.zarr"]
main()
"""


def fails_with(monkeypatch, error):
    """Every `info` raises this error."""

    def fail(path):
        raise error

    monkeypatch.setattr("learner_index.pipeline.info.store_info", fail)


def interrupt(*words, **named):
    """Ctrl-C amid the work."""
    raise KeyboardInterrupt


def test_an_expected_failure_is_one_line_and_exit_code_1(program, monkeypatch):
    """A message of several lines is folded into one, on stderr, behind the word error."""
    fails_with(monkeypatch, StoreDamagedError("a.zarr is\n  damaged"))

    done = program("info", "a.zarr")

    assert (done.code, done.out, done.err) == (1, "", "error: a.zarr is damaged\n")


def test_a_bug_is_one_line_that_says_how_to_report_it(program, monkeypatch):
    """Not even a programming error shows a traceback to somebody who did not ask for one."""
    fails_with(monkeypatch, KeyError("space"))

    done = program("info", "a.zarr")

    assert done.code == 1
    assert done.err.startswith("error: KeyError: 'space': this is a bug")
    assert "LEARNER_INDEX_DEBUG=1" in done.err
    assert done.err.count("\n") == 1


def test_developers_see_where_a_bug_is(program, monkeypatch):
    """With LEARNER_INDEX_DEBUG set, the error itself comes through."""
    fails_with(monkeypatch, KeyError("space"))
    monkeypatch.setattr(sys, "argv", ["learner-index", "info", "a.zarr"])
    monkeypatch.setenv("LEARNER_INDEX_DEBUG", "1")

    with pytest.raises(KeyError, match="space"):
        main()


def test_an_interrupt_is_one_line_and_exit_code_130(program, monkeypatch):
    """Ctrl-C tells what it left behind."""
    fails_with(monkeypatch, KeyboardInterrupt())

    done = program("info", "a.zarr")

    assert (done.code, done.out) == (130, "")
    assert done.err.splitlines() == [INTERRUPTED]


def test_an_interrupted_pretraining_is_told_to_resume(program, monkeypatch):
    """The last line holds for it too: past a checkpoint, the bare command would be refused."""
    monkeypatch.setattr("learner_index.pipeline.pretrain.pretrain", interrupt)

    done = program("pretrain", "cohort.csv")

    assert done.code == 130
    assert done.err.splitlines()[-1] == INTERRUPTED
    assert "(pretrain: with --resume)" in INTERRUPTED


def test_ctrl_c_amid_a_build_leaves_a_store_to_go_on_with(store, program):
    """A process interrupted while embedding exits with 130 and one line; a rerun completes it."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    assert child.stdout.readline() == "embedding\n"

    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)

    again = program("build", "cohort.csv", "-o", "new.zarr")
    assert child.returncode == 130
    assert err.splitlines() == [INTERRUPTED]
    assert again.code == 0
    assert program("verify", "new.zarr").out == "new.zarr: 6 scans, 0 problems\n"


def test_a_closed_pipe_is_no_error(store):
    """`learner-index … | head` ends without a word on stderr, as if by SIGPIPE."""
    code = "import sys; from learner_index.commands import main; main()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, "similar", "c.zarr", "--patient", "p0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    child.stdout.close()

    err = child.stderr.read()

    child.stderr.close()
    assert child.wait(timeout=60) == 141
    assert err == ""


def test_version_is_one_line(program):
    """--version names program and version."""
    done = program("--version")

    assert done.code == 0
    assert re.fullmatch(r"learner-index \d+\.\d+\.\d+\n", done.out)


def test_help_fits_eighty_columns(program):
    """The list of commands is complete, in one line each, none cut short."""
    done = program("--help")

    lines = done.out.splitlines()
    assert done.code == 0
    assert "not a medical device" in done.out
    assert max(len(line) for line in lines) <= 80
    assert "..." not in done.out.split("Commands:")[1]


def test_no_words_show_the_help(program):
    """The bare program explains itself and exits with 2."""
    done = program()

    assert done.code == 2
    assert "Commands:" in done.out + done.err


def test_a_misspelt_command_meets_its_neighbours(program):
    """Wrong usage exits with 2 and names the commands that were probably meant."""
    done = program("simila")

    assert done.code == 2
    assert "'similar'" in done.err
