"""A small classifier of a dataset's own labels; stands where Inception stands at full scale.

Inception features are meaningless at 8×8, and its weights need a download. This network is trained
by the workflow on images of its own, which are neither trained on nor compared with, and registered
with torch-fidelity by name, so that everything after it is one code path.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, register_feature_extractor

from dmp.config.evaluation import DATASET_CLASSIFIER
from dmp.data.images import to_model
from dmp.data.registry import DatasetInfo, Images
from dmp.errors import DMPError
from dmp.files import STAGE_OUTPUT, understood
from dmp.initialisation import kaiming_uniform_
from dmp.rng import generator
from dmp.tensorfile import load_tensors, save_tensors

NAME = DATASET_CLASSIFIER
RANDOM = "random-network"
WIDTH = 64


class Classifier(nn.Module):
    """Two 3×3 convolutions, pooling to 4×4, one hidden layer of 64 features, and logits."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(64 * 16, WIDTH),
            # After a ReLU, features that are 0 for every image would say nothing of any.
            nn.GELU(),
        )
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(B, C, H, W)`` in [-1, 1] to features ``(B, 64)`` and logits ``(B, classes)``."""
        features = self.body(images)
        return features, self.head(features)


def new_classifier(channels: int, classes: int) -> Classifier:
    """Return a classifier with initial weights, the same ones at each call."""
    model = Classifier(channels, classes)
    source = generator(0, "classifier initialisation")
    for parameter in model.parameters():
        if parameter.ndim > 1:
            kaiming_uniform_(parameter, source)
        else:
            nn.init.zeros_(parameter)
    return model


def train_classifier(train: Images, info: DatasetInfo, epochs: int) -> Classifier:
    """Train on images that nothing else sees; the same for every scale, seed and variant."""
    model = new_classifier(info.channels, info.classes)
    # Fused: the other forms take torch.sqrt, whose last bit differs between processors.
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, fused=True)
    images, labels = to_model(torch.from_numpy(train.images)), torch.from_numpy(train.labels)
    for epoch in range(epochs):
        order = torch.from_numpy(generator(0, "classifier order", epoch).permutation(len(images)))
        for rows in order.split(64):
            loss = nn.functional.cross_entropy(model(images[rows])[1], labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


@torch.no_grad()
def accuracy(model: Classifier, data: Images) -> float:
    """Return the share of images whose label has the largest logit."""
    logits = model(to_model(torch.from_numpy(data.images)))[1]
    return float((logits.argmax(dim=1) == torch.from_numpy(data.labels)).float().mean())


def save_classifier(path: Path, model: Classifier, description: dict) -> None:
    """Write the weights with channels, classes and ``description`` in the header."""
    geometry = {"channels": model.body[0].in_channels, "classes": model.head.out_features}
    save_tensors(path, model.state_dict(), {"format": NAME, **geometry, **description})


class ClassifierFeatures(FeatureExtractorBase):
    """The classifier as torch-fidelity's feature extractor: uint8 images in, features out."""

    def __init__(
        self,
        name: str,
        features_list: list[str],
        feature_extractor_weights_path: str | Path | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(name, features_list)
        if feature_extractor_weights_path is None:
            raise DMPError(f"the feature extractor '{NAME}' needs the file of its weights")
        tensors, description = load_tensors(feature_extractor_weights_path, STAGE_OUTPUT)
        if description.get("format") != NAME:
            raise DMPError(f"{feature_extractor_weights_path} is not a '{NAME}'")
        with understood(feature_extractor_weights_path):
            self.classifier = Classifier(description["channels"], description["classes"])
            self.classifier.load_state_dict(tensors, strict=True)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """Return the names of the features."""
        return ("features", "logits")

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """Return ``logits`` for the inception score, ``features`` for all else."""
        return "logits" if metric == "isc" else "features"

    @staticmethod
    def can_be_compiled() -> bool:
        """Return False: it is too small to gain by it."""
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        """Return one empty image."""
        return torch.zeros(1, 1, 8, 8, dtype=torch.uint8)

    def forward(self, input: Tensor) -> tuple[Tensor, ...]:
        """Map uint8 ``(B, C, H, W)`` to the requested features, in their order."""
        features, logits = self.classifier(to_model(input))
        provided = {"features": features, "logits": logits}
        return tuple(provided[name] for name in self.features_list)


class RandomFeatures(ClassifierFeatures):
    """The untrained classifier, for three channels: tries out a scale that has no other network.

    Its distances say nothing of what people see; a scale that uses it draws no conclusions.
    """

    def __init__(self, name: str, features_list: list[str], **_: object) -> None:
        FeatureExtractorBase.__init__(self, name, features_list)
        self.classifier = new_classifier(3, 10).eval()


for _name, _kind in ((NAME, ClassifierFeatures), (RANDOM, RandomFeatures)):
    if _name not in FEATURE_EXTRACTORS_REGISTRY:
        register_feature_extractor(_name, _kind)
