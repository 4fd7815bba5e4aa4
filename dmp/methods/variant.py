"""A variant is a method and what differs from its default; its name is the name of its folder."""

import functools
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from dmp.config.base import Strict, from_data, nearest
from dmp.config.numbers import Count, Factor, LearningRate, Probability, Seed, Size
from dmp.config.patch import PatchConfig
from dmp.errors import DMPError
from dmp.methods.base import find_method
from dmp.recipes import PAPER, Recipe


class TrainingOptions(Strict):
    """What a variant may change of the scale's further training; ``None`` keeps the scale's.

    Attributes:
        iterations_factor: of the scale's iterations; the product is rounded.
        batch_size: global.
        learning_rate_factor: of the scale's learning rate; ``one-over-n`` divides it by the number
            of tokens.
        ema_decay: average what trains, and evaluate the average; ``baseline`` averages over as
            long a time as the baseline's own training did.
        loss: ``hybrid`` or ``simple``; see :class:`dmp.config.TrainingConfig`.
        resolution: edge of the images that a patch is trained on, which is then resized to the
            dataset's own.
    """

    iterations: Count | None = None
    iterations_factor: Factor | None = None
    batch_size: Count | None = None
    learning_rate: LearningRate | None = None
    learning_rate_factor: Factor | Literal["one-over-n"] | None = None
    ema_decay: Probability | Literal["baseline"] | None = None
    loss: Literal["hybrid", "simple"] | None = None
    resolution: Size | None = None


class OriginOptions(Strict):
    """Which baseline a variant begins with.

    Attributes:
        recipe: ``paper`` trains at a constant rate and averages; ``decayed`` branches off it and
            lets the rate fall to 0, see :class:`dmp.config.PretrainingConfig`.
    """

    recipe: Recipe = PAPER


class SamplingOptions(Strict):
    """What a variant may change of sampling; ``None`` keeps what the run's seed says.

    Attributes:
        sampling_seed: takes the noise of that seed's samples, whatever the run's own seed: how
            much do results vary because of sampling alone?
        sampling_steps: in place of the scale's: how much of a distance is the sampler's error?
    """

    sampling_seed: Seed | None = None
    sampling_steps: Annotated[int, Field(ge=2, le=10**6)] | None = None


@dataclass(frozen=True)
class Variant:
    """One way of further training.

    Attributes:
        method: the name of a method.
        training: the differences from the scale's further training.
        sampling: the differences from the scale's sampling.
        origin: the baseline that it begins with.
    """

    method: str
    options: Strict
    training: TrainingOptions
    sampling: SamplingOptions
    origin: OriginOptions

    @classmethod
    def parse(cls, text: str, where: str = "variant") -> "Variant":
        """Read ``method,key=value,...``, for example ``dmp,selection=uniform,depth=1``.

        Raises:
            DMPError: unknown method or key, a value that is not accepted, a key given twice, or
                an option that the method does not have.
        """
        return _parse(text, where)

    @property
    def patch(self) -> PatchConfig | None:
        """The options of the prompts and their gate; None for a method without prompts."""
        return self.options if isinstance(self.options, PatchConfig) else None

    def differences(self) -> dict[str, Any]:
        """Return only what differs from the method's own defaults, sorted by name."""
        found: dict[str, Any] = self.training.model_dump(exclude_none=True)
        found |= self.sampling.model_dump(exclude_none=True)
        found |= self.origin.model_dump(exclude_defaults=True)
        options, method = self.options.model_dump(), find_method(self.method)
        # As they are where a variant says nothing.
        theirs = {name: field.default for name, field in method.options.model_fields.items()}
        theirs |= method.preset(options)
        found |= {k: v for k, v in options.items() if v != theirs[k]}
        return dict(sorted(found.items()))

    @functools.cached_property
    def name(self) -> str:
        """The canonical name: two spellings of one variant have one name, and run once."""
        return ",".join([self.method, *(f"{k}={spell(v)}" for k, v in self.differences().items())])


# A plan asks for the same few variants again and again: once for each of their runs.
@functools.lru_cache(maxsize=4096)
def _parse(text: str, where: str) -> Variant:
    name, *assignments = (part.strip() for part in text.split(","))
    method = find_method(name, where)
    keys: dict[type[Strict], set[str]] = {
        kind: set(kind.model_fields) - method.fixed
        for kind in (TrainingOptions, SamplingOptions, OriginOptions)
    }
    keys[method.options] = set(method.options.model_fields)
    accepted = set().union(*keys.values())
    changes: dict[str, str] = {}
    for assignment in assignments:
        key, separator, value = assignment.partition("=")
        if not separator or not value:
            raise DMPError(f"{where}: '{assignment}' is not of the form key=value")
        if key in changes:
            raise DMPError(f"{where}: '{key}' is given twice in '{text}'")
        if key not in accepted:
            raise DMPError(f"{where}: unknown option '{key}' of '{name}': {nearest(key, accepted)}")
        changes[key] = value
    place = f"{where}: '{text}'"

    def given(kind: type[Strict]) -> dict[str, str]:
        return {key: value for key, value in changes.items() if key in keys[kind]}

    own = given(method.options)
    options = from_data(method.options, method.preset(own) | own, place, text=True)
    training = from_data(TrainingOptions, given(TrainingOptions), place, text=True)
    sampling = from_data(SamplingOptions, given(SamplingOptions), place, text=True)
    origin = from_data(OriginOptions, given(OriginOptions), place)
    for key in ("iterations", "learning_rate"):
        if None not in (getattr(training, key), getattr(training, f"{key}_factor")):
            raise DMPError(f"{place} gives {key} and {key}_factor; give one")
    return Variant(name, options, training, sampling, origin)


def on_recipe(name: str, recipe: Recipe) -> str:
    """Return the canonical name of a variant that begins with a baseline of another recipe."""
    return replace(_parse(name, "variant"), origin=OriginOptions(recipe=recipe)).name


def spell(value: Any) -> str:
    """Return a value as a variant's name has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return format(value, "g") if isinstance(value, float) else str(value)
