"""Scans in, embeddings out: order, sharing, failures and bounded memory."""

import numpy as np
import pytest

from learner_index.data.content import content_hash
from learner_index.errors import EncoderError
from learner_index.pipeline.embed import EmbeddingStream, Job
from tests.toy import TOY, ToyEmbedder, write_scan


def stream(embedder, workers=3):
    """A stream over the toy."""
    return EmbeddingStream(embedder, TOY, lambda _, path: content_hash(path), workers=workers)


def jobs_for(folder, levels, frames=None):
    """One scan a level."""
    jobs = []
    for row, level in enumerate(levels):
        path = folder / f"s{row}.npy"
        n = frames[row] if frames else 1
        write_scan(path, (level, 0.2, 0.4, row % 2 / 10), frames=n)
        jobs.append(Job(row, f"s{row}", path))
    return jobs


def test_results_come_in_the_order_of_the_jobs(tmp_path):
    """Stills and clips share the work in separate batches and come back in order."""
    levels = np.linspace(0.05, 0.9, 23)
    jobs = jobs_for(tmp_path, levels, frames=[1 if i % 3 else 4 for i in range(23)])

    done = list(stream(ToyEmbedder(batch_size=4)).run(jobs))

    assert [entry.job.row for entry in done] == list(range(23))
    assert np.allclose([entry.embedding[0] for entry in done], levels, atol=0.003)


def test_a_lone_still_among_clips_does_not_wait_for_ever(tmp_path):
    """A half-filled batch is computed once too many results wait behind it."""
    jobs = jobs_for(tmp_path, np.linspace(0.1, 0.8, 60), frames=[1] + [3] * 59)

    done = list(stream(ToyEmbedder(batch_size=2)).run(iter(jobs)))

    assert [entry.embedding is not None for entry in done] == [True] * 60


def test_equal_bytes_are_embedded_once(tmp_path):
    """Scans with the same bytes share one computation and stay separate results."""
    jobs = jobs_for(tmp_path, [0.3, 0.3, 0.3, 0.5])
    write_scan(tmp_path / "s1.npy", (0.3, 0.2, 0.4, 0.0))
    embedder = ToyEmbedder()

    done = list(stream(embedder).run(jobs))

    assert sum(entry.is_shared for entry in done) == 2
    assert sum(embedder.calls) == 2
    assert np.array_equal(done[0].embedding, done[2].embedding)


def test_a_broken_scan_spoils_nobody_else(tmp_path):
    """The reason stands where the embedding would; all others are embedded."""
    jobs = jobs_for(tmp_path, [0.1, 0.2, 0.3, 0.4])
    (tmp_path / "s1.npy").write_bytes(b"broken")
    (tmp_path / "s2.npy").unlink()

    done = list(stream(ToyEmbedder()).run(jobs))

    assert [entry.embedding is None for entry in done] == [False, True, True, False]
    assert all(entry.reason and "\n" not in entry.reason for entry in done[1:3])
    assert str(tmp_path) not in done[1].reason + done[2].reason


def test_equal_broken_scans_each_give_a_reason(tmp_path):
    """Scans that share the bytes of a broken one are reported one by one."""
    jobs = jobs_for(tmp_path, [0.1, 0.2, 0.3])
    for job in jobs[:2]:
        job.path.write_bytes(b"broken")

    done = list(stream(ToyEmbedder(), workers=1).run(jobs))

    assert [bool(entry.reason) for entry in done] == [True, True, False]


def test_a_scan_the_encoder_refuses_is_left_out_alone(tmp_path):
    """When a batch fails, its scans are embedded one by one."""
    jobs = jobs_for(tmp_path, [0.2, 1.0, 0.4])

    done = list(stream(ToyEmbedder()).run(jobs))

    assert [entry.embedding is None for entry in done] == [False, True, False]
    assert "not finite" in done[1].reason


def test_stored_embeddings_are_reused(tmp_path):
    """What is known for the same bytes is taken without a computation."""
    jobs = jobs_for(tmp_path, [0.2])
    embedder = ToyEmbedder()
    known = np.arange(4, dtype=np.float32)

    found = EmbeddingStream(
        embedder, TOY, lambda _, path: content_hash(path), workers=1, known=lambda _: known
    )

    assert np.array_equal(next(iter(found.run(jobs))).embedding, known)
    assert embedder.calls == []


def test_few_scans_are_read_ahead(tmp_path):
    """However long the list, only a small window of it is read before results are taken."""
    asked = []

    def jobs():
        for job in jobs_for(tmp_path, np.linspace(0.1, 0.9, 200)):
            asked.append(job.row)
            yield job

    results = stream(ToyEmbedder(batch_size=4), workers=2).run(jobs())
    next(results)

    assert len(asked) < 30
    results.close()


def test_an_unforeseen_error_is_not_swallowed(tmp_path):
    """A bug in a reader or encoder surfaces instead of becoming a skipped scan."""
    jobs = jobs_for(tmp_path, [0.2])

    def broken(scan_id, path):
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        list(EmbeddingStream(ToyEmbedder(), TOY, broken, workers=1).run(jobs))


def test_the_toy_refuses_what_it_says():
    """The toy's own refusal is an EncoderError, as a real encoder's is."""
    with pytest.raises(EncoderError, match="not finite"):
        ToyEmbedder().embed(np.ones((1, 1, 4, 4), np.float32))
