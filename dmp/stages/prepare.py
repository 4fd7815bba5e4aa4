"""Before any training: captions, the feature extractor, and what samples are compared with."""

from dmp.data.captions import encode, save_captions
from dmp.data.images import load_split
from dmp.data.registry import dataset_info
from dmp.errors import DMPError
from dmp.metrics import classifier
from dmp.metrics.reference import gather_reference, save_reference
from dmp.stages.common import Context, task_extractor


def encode_captions(context: Context, task: str) -> None:
    """Encode the captions of a task, once.

    Raises:
        DMPError: the task is not conditioned on text.

    """
    config = context.plan.scale.tasks[task]
    phrases = dataset_info(config.data.name).phrases
    if config.text is None or phrases is None:
        raise DMPError(f"task '{task}' has no captions: its conditioning is {config.conditioning}")
    save_captions(context.layout.captions(task), encode(phrases(), config.text))


def train_extractor(context: Context, dataset: str) -> None:
    """Train the dataset's own classifier, by the configuration of the first task that uses it."""
    task = next(t for t in context.plan.scale.tasks.values() if t.data.name == dataset)
    train, held_out = load_split(task.data)
    epochs = task.evaluation.extractor.epochs
    model = classifier.train_classifier(train, dataset_info(dataset), epochs)
    description = {
        "dataset": dataset,
        "epochs": epochs,
        "held_out_accuracy": classifier.accuracy(model, held_out),
    }
    classifier.save_classifier(context.layout.extractor(dataset), model, description)


def make_reference(context: Context, task: str) -> None:
    """Extract the features of a task's real images."""
    config = context.plan.scale.tasks[task]
    train, held_out = load_split(config.data)
    parts = {"train": [train], "held-out": [held_out], "all": [train, held_out]}
    images = (part.images for part in parts[config.evaluation.reference])
    extractor = task_extractor(context, config)
    keep = config.evaluation.reference_features
    save_reference(context.layout.reference(task), gather_reference(images, extractor, keep))
