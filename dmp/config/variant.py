"""A variant is a method and what differs from its default; its name is the name of its folder."""

from dataclasses import dataclass
from typing import Any

from pydantic import PositiveFloat, PositiveInt

from dmp.config.base import Strict, from_data, nearest
from dmp.config.patch import PatchConfig
from dmp.errors import DMPError


class TrainingOptions(Strict):
    """What a variant may change of the scale's further training; ``None`` keeps the scale's."""

    iterations: PositiveInt | None = None
    learning_rate: PositiveFloat | None = None


# What each method is: its patch, or None where nothing is attached to the backbone.
METHODS: dict[str, PatchConfig | None] = {
    "baseline": None,
    "fine-tuning": None,
    "prompt-tuning": PatchConfig(gate="none", importance_weight=0.0, load_weight=0.0),
    "dmp": PatchConfig(),
}


@dataclass(frozen=True)
class Variant:
    """One way of further training.

    Attributes:
        method: a key of :data:`METHODS`.
        patch: the patch, or None for ``baseline`` and ``fine-tuning``.
        training: the differences from the scale's further training.

    """

    method: str
    patch: PatchConfig | None
    training: TrainingOptions

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
        training_keys = set() if method == "baseline" else set(TrainingOptions.model_fields)
        changes: dict[str, str] = {}
        for assignment in assignments:
            name, separator, value = assignment.partition("=")
            if not separator or not value:
                raise DMPError(f"{where}: '{assignment}' is not of the form key=value")
            if name in changes:
                raise DMPError(f"{where}: '{name}' is given twice in '{text}'")
            accepted = patch_keys | training_keys
            if name not in accepted:
                if not accepted:
                    raise DMPError(f"{where}: the method 'baseline' has no options, not '{name}'")
                raise DMPError(
                    f"{where}: unknown option '{name}' of '{method}': {nearest(name, accepted)}"
                )
            changes[name] = value
        patch = default
        if default is not None:
            data = default.model_dump() | {k: v for k, v in changes.items() if k in patch_keys}
            patch = from_data(PatchConfig, data, f"{where}: '{text}'")
        training = from_data(
            TrainingOptions,
            {k: v for k, v in changes.items() if k in training_keys},
            f"{where}: '{text}'",
        )
        return cls(method, patch, training)

    def differences(self) -> dict[str, Any]:
        """Return only what differs from the method's default, sorted by name."""
        default = METHODS[self.method]
        found: dict[str, Any] = self.training.model_dump(exclude_none=True)
        if self.patch is not None and default is not None:
            theirs = default.model_dump()
            found |= {k: v for k, v in self.patch.model_dump().items() if v != theirs[k]}
        return dict(sorted(found.items()))

    @property
    def name(self) -> str:
        """The canonical name: two spellings of one variant have one name, and run once."""
        return ",".join([self.method, *(f"{k}={_spell(v)}" for k, v in self.differences().items())])


def _spell(value: Any) -> str:
    return format(value, "g") if isinstance(value, float) else str(value)
