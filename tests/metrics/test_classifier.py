"""The dataset's own classifier stands in for Inception, through the same code path."""

import numpy as np
import pytest
import torch
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from dmp.config import DataConfig, ExtractorConfig
from dmp.data.images import load_split, to_model
from dmp.data.registry import dataset_info
from dmp.errors import DMPError
from dmp.metrics import classifier
from dmp.metrics.features import Extractor
from dmp.metrics.fidelity import frechet_distance
from dmp.metrics.reference import gather_reference


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    train, held_out = load_split(DataConfig(name="digits"))
    model = classifier.train_classifier(train, dataset_info("digits"), epochs=3)
    path = tmp_path_factory.mktemp("classifier") / "digits.safetensors"
    classifier.save_classifier(path, model, {"dataset": "digits"})
    return model, path, train, held_out


def test_classifier_is_registered_by_name():
    assert FEATURE_EXTRACTORS_REGISTRY[classifier.NAME] is classifier.ClassifierFeatures


def test_classifier_reads_digits_it_has_not_seen(trained):
    model, _, _, held_out = trained
    assert classifier.accuracy(model, held_out) > 0.9


def test_training_is_reproducible_to_the_last_bit(trained):
    model, _, train, _ = trained
    again = classifier.train_classifier(train, dataset_info("digits"), epochs=3)
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_extracted_features_are_the_networks_own_for_any_batch_size(trained):
    model, path, _, held_out = trained
    with torch.no_grad():
        features, logits = model(to_model(torch.from_numpy(held_out.images)))
    extractor = Extractor(classifier.NAME, path, "cpu")
    for batch_size in (7, 500):
        out = extractor(held_out.images, batch_size)
        np.testing.assert_allclose(out.features, features.numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(out.logits, logits.numpy(), rtol=1e-4, atol=1e-5)


def test_real_images_are_closer_than_spoiled_ones(trained):
    _, path, train, held_out = trained
    extractor = Extractor(classifier.NAME, path, "cpu")
    reference = gather_reference([train.images], extractor, 100)
    real, inverted = extractor(held_out.images), extractor(255 - held_out.images)
    assert frechet_distance(real, reference) < 0.1 * frechet_distance(inverted, reference)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(DMPError, match=r"digits.safetensors does not exist"):
        Extractor(classifier.NAME, tmp_path / "digits.safetensors", "cpu")


def test_which_extractors_have_logits_is_what_torch_fidelity_says():
    for name, kind in FEATURE_EXTRACTORS_REGISTRY.items():
        layers = {kind.get_default_feature_layer_for_metric(metric) for metric in ("fid", "isc")}
        assert ExtractorConfig(name=name).has_logits == (len(layers) == 2), name
