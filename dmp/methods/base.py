"""What a method is: its options, what it attaches to a backbone, and what it saves."""

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from dmp.config.base import Strict
from dmp.config.run import TaskConfig
from dmp.registry import add, find, load_others

if TYPE_CHECKING:  # names are looked up by commands that never compute
    from pathlib import Path

    from torch import nn

    from dmp.methods.attached import Attached


class NoOptions(Strict):
    """The options of a method that has none."""


Options = TypeVar("Options", bound=Strict)


class Method(abc.ABC, Generic[Options]):
    """One way of going on from a converged baseline.

    A method is one file in :mod:`dmp.methods`, or in another package that names its class under the
    entry-point group ``dmp.methods``. Its module does not import torch, except inside
    :meth:`attach` and :meth:`load`: the names and options of methods are needed by commands that
    answer at once.

    Attributes:
        name: how YAML files and the command line call it.
        options: the model of its options, each with a default; in a variant they are written
            ``name,key=value,...``.
        trains: whether anything trains; the baseline is only sampled and evaluated.
        saves_backbone: whether a whole model is saved, all weights of the backbone, where other
            methods save what they have added or trained.
        continues: whether training goes on from the baseline's own state: its optimiser, its
            average, its stream of examples.
        fixed: options of further training that would contradict what the method is.
    """

    name: ClassVar[str]
    options: ClassVar[type[Strict]] = NoOptions
    trains: ClassVar[bool] = True
    saves_backbone: ClassVar[bool] = False
    continues: ClassVar[bool] = False
    fixed: ClassVar[frozenset[str]] = frozenset()

    def preset(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the method's own defaults, where they differ from those of :attr:`options`.

        Args:
            given: the options that a variant gives, or all of them; defaults may depend on them.
        """
        return {}

    def check(self, options: Options, task: TaskConfig) -> None:
        """Check that the options fit a task, before anything is computed.

        Raises:
            ValueError: what does not fit, and what is accepted.
            UnfitError: likewise, if only this task's backbone has no place for the method.
        """

    def batch_losses(self, options: Options) -> list[str]:
        """Return ``key = value`` of the options whose losses mix the images of a batch.

        Several processes that share a batch would compute other losses.
        """
        return []

    def starts_as_no_op(self, options: Options) -> bool:
        """Return whether the backbone computes the same bits right after :meth:`attach`."""
        return True

    @abc.abstractmethod
    def attach(self, backbone: "nn.Module", options: Options, seed: int) -> "Attached":
        """Prepare a backbone for training: add what is to be added, free what is to train.

        Args:
            backbone: a converged one, or one on ``meta``, whose parameters are to be counted; it
                is changed in place.
            options: an instance of :attr:`options`.
            seed: decides all that is drawn at random, through :func:`dmp.rng.generator`.
        """

    def load(self, path: "Path", backbone: "nn.Module", options: Options) -> "Attached":
        """Attach what :meth:`~dmp.methods.attached.Attached.save` wrote, ready for sampling.

        Raises:
            DMPError: the file does not fit the backbone.
        """
        return self.attach(backbone, options, seed=0).restore(path)


class UnfitError(ValueError):
    """The backbone of a task has no place for a method; that of another scale may have."""


AnyMethod = TypeVar("AnyMethod", bound=Method[Any])
_METHODS: dict[str, Method[Any]] = {}


def register(method: type[AnyMethod]) -> type[AnyMethod]:
    """Make a method known by its name; used as a decorator of its class.

    Raises:
        DMPError: another class has that name already.
    """
    add(_METHODS, method.name, method(), "method")
    return method


def method_names() -> list[str]:
    """Return the names of all methods, those of other packages among them."""
    for _, method in load_others("dmp.methods"):
        register(method)
    return list(_METHODS)


def find_method(name: str, where: str = "method") -> Method[Any]:
    """Return a method by its name.

    Raises:
        DMPError: there is none; the message says which there are.
    """
    if name not in _METHODS:
        method_names()
    return find(_METHODS, name, "method", where)
