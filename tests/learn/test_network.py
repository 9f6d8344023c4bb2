"""The network: shapes, the seeded projection, the untrained head."""

import pytest
import torch

from learner_index.errors import EncoderError
from learner_index.learn.network import Network, orthonormal
from learner_index.learn.weights import untrained


def _network(**options) -> Network:
    return Network(untrained("test_resnet", size=32, seed=0), 96, **options).eval()


def test_gives_an_embedding_and_a_score():
    """Each scan of a batch gets e values and one health score."""
    clips = torch.zeros(3, 2, 1, 32, 32)

    output = _network(width=7)(clips)

    assert output.embedding.shape == (3, 7)
    assert output.score.shape == (3,)


def test_untrained_score_is_zero():
    """A head that was never trained says 0, not something that looks like a score."""
    clips = torch.rand(2, 2, 1, 32, 32, generator=torch.Generator().manual_seed(0))

    assert torch.equal(_network()(clips).score, torch.zeros(2))


def test_native_width_has_no_projection():
    """With width None the embedding is the mean of the backbone's own features."""
    clips = torch.rand(2, 3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    network = _network(width=None)

    with torch.inference_mode():
        embedding = network(clips).embedding
        features = network.backbone(clips.flatten(0, 1)).reshape(2, 3, 96)

    assert network.width == 96
    torch.testing.assert_close(embedding, features.mean(1))


def test_wide_projection_has_orthonormal_rows():
    """Fewer values than features: rows of length 1 at right angles, to the rounding's 1e-4."""
    rows = orthonormal(8, 96, seed=3)

    torch.testing.assert_close(rows @ rows.T, torch.eye(8), atol=1e-4, rtol=0)


def test_tall_projection_keeps_distances():
    """More values than features: distances between embeddings are those between features."""
    points = torch.rand(5, 16, generator=torch.Generator().manual_seed(0))
    matrix = orthonormal(64, 16, seed=3)

    torch.testing.assert_close(
        torch.cdist(points @ matrix.T, points @ matrix.T),
        torch.cdist(points, points),
        atol=1e-4,
        rtol=1e-3,
    )


def test_projection_is_on_the_grid():
    """Values are multiples of 2⁻²⁰, so last bits cannot differ from machine to machine."""
    matrix = orthonormal(8, 96, seed=3).double() * 2**20

    assert torch.equal(matrix, matrix.round())


def test_seed_fixes_the_projection():
    """Equal seeds make equal projections, other seeds others."""
    assert torch.equal(orthonormal(8, 96, seed=1), orthonormal(8, 96, seed=1))
    assert not torch.equal(orthonormal(8, 96, seed=1), orthonormal(8, 96, seed=2))


def test_leaves_the_global_random_state_alone():
    """Making projection and head draws nothing from PyTorch's global generator."""
    backbone = _network().backbone
    before = torch.random.get_rng_state()

    Network(backbone, 96, width=8, seed=5)

    assert torch.equal(torch.random.get_rng_state(), before)


def test_all_parts_can_be_trained():
    """Projection and head are ordinary parameters that receive gradients."""
    network = _network(width=4)

    embedding, score = network(torch.ones(2, 1, 1, 32, 32))
    (embedding.square().sum() + score.sum()).backward()

    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (1, 1, 1, 1, 32, 32)])
def test_refuses_other_axes(shape):
    """Input without the five axes b, f, c, h, w is refused."""
    with pytest.raises(EncoderError, match=r"takes \(b, f, c, h, w\)"):
        _network()(torch.zeros(shape))


def test_refuses_an_embedding_without_values():
    """A width below 1 is refused."""
    with pytest.raises(EncoderError, match="1 value or more, not 0"):
        _network(width=0)


def test_autocast_reaches_the_backbone_only():
    """Under autocast the mean over frames, projection and head are float32, to the last bit."""
    clips = torch.rand(3, 2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    network = _network(width=7)
    torch.nn.init.ones_(network.head.weight)

    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        features = network.backbone(clips.flatten(0, 1))
        found = network(clips)

    with torch.inference_mode():
        embedding = network.projection(features.float().unflatten(0, (3, 2)).mean(1))
        score = network.head(embedding).squeeze(1)
    assert features.dtype == torch.bfloat16
    assert torch.equal(found.embedding, embedding)
    assert torch.equal(found.score, score)
