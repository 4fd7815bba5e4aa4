"""A variant is a method and what differs from its default; its name is the name of its folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from dmp.config.base import Strict, from_data, nearest
from dmp.config.patch import PatchConfig
from dmp.config.run import Probability
from dmp.errors import DMPError


class TrainingOptions(Strict):
    """What a variant may change of the scale's further training; ``None`` keeps the scale's.

    Attributes:
        iterations: of further training.
        iterations_factor: of the scale's iterations; the product is rounded.
        batch_size: global.
        learning_rate: of all that trains.
        learning_rate_factor: of the scale's learning rate; ``one-over-n`` divides it by the number
            of tokens.
        ema_decay: average what trains, and evaluate the average; ``baseline`` averages over as
            long a time as the baseline's own training did.
        loss: ``hybrid`` or ``simple``; see :class:`dmp.config.TrainingConfig`.

    """

    iterations: PositiveInt | None = None
    iterations_factor: PositiveFloat | None = None
    batch_size: PositiveInt | None = None
    learning_rate: PositiveFloat | None = None
    learning_rate_factor: PositiveFloat | Literal["one-over-n"] | None = None
    ema_decay: Probability | Literal["baseline"] | None = None
    loss: Literal["hybrid", "simple"] | None = None


class SamplingOptions(Strict):
    """What a variant may change of sampling; ``None`` keeps what the run's seed says.

    Attributes:
        sampling_seed: takes the noise of that seed's samples, whatever the run's own seed: how
            much do results vary because of sampling alone?

    """

    sampling_seed: NonNegativeInt | None = None


# What each method is: its patch, or None where nothing is attached to the backbone. ``continued``
# is the baseline's own training going on, with its average and the examples that come next.
# ``released`` is the preset of the authors' public code where it differs from the paper;
# :func:`preset` has the rest of it.
METHODS: dict[str, PatchConfig | None] = {
    "baseline": None,
    "continued": None,
    "fine-tuning": None,
    "prompt-tuning": PatchConfig(
        gate="none", weights="one", importance_weight=0.0, load_weight=0.0
    ),
    "dmp": PatchConfig(),
    "released": PatchConfig(
        condition="t+c",
        gate_noise=True,
        gate_init=0.0,
        gate_learning_rate_factor=10.0,
        importance="summed",
    ),
}


def preset(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a method's patch, given a variant's ``type``, ``position`` and ``depth``.

    The released code has more of its own with hard selection and with prepended prompts, which
    would have no effect without them: ``released,type=hard`` stands for all of it. What a variant
    says itself has precedence.

    Args:
        method: a key of :data:`METHODS` that has a patch.
        options: what the variant changes, or all its options.

    """
    found = dict(METHODS[method] or {})
    if method != "released":
        return found
    chosen = found | options
    if chosen["type"] == "hard":
        found["hard_weights"], found["top_rounding"] = "renormalised", "down"
        found["importance_on"], found["load"] = "applied", "probability"
    if chosen["position"] == "prepend":
        found["condition"] = "t"
        if chosen["depth"] != "all":
            found["prepended"] = "stays"
    return found


# Training options that would contradict what the method is.
_WITHOUT = {
    "baseline": set(TrainingOptions.model_fields),
    "continued": {"ema_decay", "learning_rate", "learning_rate_factor", "batch_size"},
}


@dataclass(frozen=True)
class Variant:
    """One way of further training.

    Attributes:
        method: a key of :data:`METHODS`.
        patch: the patch, or None for ``baseline`` and ``fine-tuning``.
        training: the differences from the scale's further training.
        sampling: the differences from the scale's sampling.

    """

    method: str
    patch: PatchConfig | None
    training: TrainingOptions
    sampling: SamplingOptions

    @classmethod
    def parse(cls, text: str, where: str = "variant") -> "Variant":
        """Read ``method,key=value,...``, for example ``dmp,selection=uniform,depth=1``.

        Raises:
            DMPError: unknown method or key, a value that is not accepted, a key given twice, or
                an option that the method does not have.

        """
        method, *assignments = (part.strip() for part in text.split(","))
        if method not in METHODS:
            raise DMPError(f"{where}: unknown method '{method}': {nearest(method, METHODS)}")
        default = METHODS[method]
        patch_keys = set(PatchConfig.model_fields) if default is not None else set()
        training_keys = set(TrainingOptions.model_fields) - _WITHOUT.get(method, set())
        sampling_keys = set(SamplingOptions.model_fields)
        changes: dict[str, str] = {}
        for assignment in assignments:
            name, separator, value = assignment.partition("=")
            if not separator or not value:
                raise DMPError(f"{where}: '{assignment}' is not of the form key=value")
            if name in changes:
                raise DMPError(f"{where}: '{name}' is given twice in '{text}'")
            accepted = patch_keys | training_keys | sampling_keys
            if name not in accepted:
                raise DMPError(
                    f"{where}: unknown option '{name}' of '{method}': {nearest(name, accepted)}"
                )
            changes[name] = value
        patch = default
        if default is not None:
            changed = {k: v for k, v in changes.items() if k in patch_keys}
            data = preset(method, changed) | changed
            patch = from_data(PatchConfig, data, f"{where}: '{text}'")
        training, sampling = (
            from_data(
                options, {k: v for k, v in changes.items() if k in keys}, f"{where}: '{text}'"
            )
            for options, keys in (
                (TrainingOptions, training_keys),
                (SamplingOptions, sampling_keys),
            )
        )
        for name in ("iterations", "learning_rate"):
            if None not in (getattr(training, name), getattr(training, f"{name}_factor")):
                raise DMPError(f"{where}: '{text}' gives {name} and {name}_factor; give one")
        return cls(method, patch, training, sampling)

    def differences(self) -> dict[str, Any]:
        """Return only what differs from the method's preset, sorted by name."""
        found: dict[str, Any] = self.training.model_dump(exclude_none=True)
        found |= self.sampling.model_dump(exclude_none=True)
        if self.patch is not None:
            options = self.patch.model_dump()
            theirs = preset(self.method, options)
            found |= {k: v for k, v in options.items() if v != theirs[k]}
        return dict(sorted(found.items()))

    @property
    def name(self) -> str:
        """The canonical name: two spellings of one variant have one name, and run once."""
        return ",".join([self.method, *(f"{k}={_spell(v)}" for k, v in self.differences().items())])


def _spell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return format(value, "g") if isinstance(value, float) else str(value)
