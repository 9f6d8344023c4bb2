"""Terminals of all kinds: few letters, no color, 80 columns, a full disk behind stdout."""

import errno
import io
import json
import os
import re
import subprocess
import sys

import pytest

from learner_index.commands.app import replace_what_cannot_be_shown
from learner_index.commands.show import print_json_text, say

MAIN = "import sys; from learner_index.commands import main; main()"


def run(*words: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """The program in a process of its own, with some environment."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, *words],
        capture_output=True,
        env={**os.environ, **env},
        check=False,
    )


@pytest.mark.parametrize("encoding", ["ascii", "koi8-r"])
def test_a_terminal_without_a_sign_shows_a_question_mark(encoding):
    """± and the like never end the program; what the terminal has is shown."""
    done = run("similar", "--help", PYTHONIOENCODING=encoding)

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Like the query's patient: sex, 'age" in done.stdout


def test_streams_of_few_letters_replace_what_they_lack(monkeypatch):
    """Both streams; one that has every letter is left as it is."""
    out, err = (
        io.TextIOWrapper(io.BytesIO(), encoding=name, errors="strict")
        for name in ("latin-1", "utf-8")
    )
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)

    replace_what_cannot_be_shown()

    assert (out.errors, err.errors) == ("replace", "strict")


def test_json_is_whole_on_any_terminal(monkeypatch):
    """Letters that stdout cannot show are escaped as JSON has it, so that nothing is lost."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", out)
    value = {"patient_id": "Jürgen ‖ 𝛉", "n": 1}

    print_json_text(json.dumps(value, ensure_ascii=False))

    out.flush()
    assert json.loads(out.buffer.getvalue().decode("latin-1")) == value


def test_json_keeps_its_letters_where_they_can_be_shown(capsys):
    """In UTF-8 nothing is escaped."""
    print_json_text('{"a": "θ"}')

    assert capsys.readouterr().out == '{"a": "θ"}\n'


@pytest.mark.parametrize("variable", ["NO_COLOR", "FORCE_COLOR"])
@pytest.mark.parametrize("words", [("--help",), ("similar", "--help")])
def test_piped_answers_have_no_colors(variable, words):
    """Neither asked for nor against: no escape reaches a pipe."""
    done = run(*words, **{variable: "1"})

    assert done.returncode == 0
    assert b"\x1b" not in done.stdout + done.stderr


def test_a_full_disk_behind_stdout_is_no_bug(program, monkeypatch):
    """What the system refuses is said with what to do, not called a bug."""

    def refuse(name):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("learner_index.pipeline.objectives.list_objectives", refuse)

    done = program("objectives")

    assert done.code == 1
    assert done.err == (
        "error: No space left on device: make room or choose another place, and run the same "
        "command again\n"
    )


def test_other_errors_of_the_system_stay_bugs(program, monkeypatch):
    """An error nobody foresaw still asks to be reported."""

    def refuse(name):
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr("learner_index.pipeline.objectives.list_objectives", refuse)

    assert "this is a bug" in program("objectives").err


def test_remarks_wrap_between_words_at_a_terminal(monkeypatch):
    """A long remark is broken at blanks and goes on indented; lines keep their order."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "80")

    say("note: " + "a-long-word " * 12)

    lines = sys.stderr.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) == 2
    assert lines[1].startswith("  a-long-word")


def test_remarks_stay_one_line_in_a_pipe(capsys):
    """A program that reads stderr gets one line a remark."""
    say("note: " + "word " * 40)

    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_tables_fit_a_real_terminal(store):
    """On a pseudo-terminal of 80 columns no line of an answer is longer."""
    import pty

    found = b""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["COLUMNS"] = "80"
        columns = "distance,view,site,treatment,response"
        words = ["similar", "c.zarr", "--patient", "p0", "--columns", columns]
        os.execv(sys.executable, [sys.executable, "-c", MAIN, *words])
    while True:
        try:
            read = os.read(terminal, 4096)
        except OSError:
            break
        if not read:
            break
        found += read
    os.waitpid(pid, 0)
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", found.decode()).splitlines()
    assert any(line.startswith("rank  ") for line in lines)
    assert max(map(len, lines)) <= 80
