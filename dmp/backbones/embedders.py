"""What a DiT is conditioned on, each as a vector: the timestep, a label, a caption."""

from typing import cast

from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor, nn

FREQUENCIES = 256


def _perceptron(width: int, hidden_size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden_size), nn.SiLU(), nn.Linear(hidden_size, hidden_size)
    )


class TimestepEmbedder(nn.Module):
    """Sinusoids of the timestep, through a two-layer perceptron: ``(B,)`` to ``(B, D)``."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.mlp = _perceptron(FREQUENCIES, hidden_size)

    def forward(self, t: Tensor) -> Tensor:
        """Embed timesteps."""
        waves = get_timestep_embedding(t, FREQUENCIES, flip_sin_to_cos=True, downscale_freq_shift=0)
        # Not by parameters(), of which a replica on another GPU has none.
        first = cast(nn.Linear, self.mlp[0])
        return self.mlp(waves.to(first.weight.dtype))


class LabelEmbedder(nn.Module):
    """A table of label embeddings: ``(B,)`` to ``(B, D)``; its last row may be the null label."""

    def __init__(self, rows: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(rows, hidden_size)

    def forward(self, labels: Tensor) -> Tensor:
        """Embed labels."""
        return self.embedding_table(labels)


class CaptionEmbedder(nn.Module):
    """Pooled text embeddings, through a two-layer perceptron: captions ``(B,)`` to ``(B, D)``.

    Args:
        embeddings: ``(n + 1, E)``, of n captions and of the null caption; they do not train.
        hidden_size: D.
    """

    embeddings: Tensor

    def __init__(self, embeddings: Tensor, hidden_size: int) -> None:
        super().__init__()
        # Not saved with the weights: they belong to the text encoder.
        self.register_buffer("embeddings", embeddings, persistent=False)
        self.mlp = _perceptron(embeddings.shape[1], hidden_size)

    def forward(self, captions: Tensor) -> Tensor:
        """Embed captions."""
        return self.mlp(self.embeddings[captions])
