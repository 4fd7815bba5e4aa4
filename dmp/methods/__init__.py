"""The methods that are compared: each a file of this folder, or of another package.

Start with :mod:`dmp.methods.base`; :mod:`dmp.methods.prompts` is the paper's method and
:mod:`dmp.methods.adapters` its rivals from peft.
"""

import importlib
import pkgutil

from dmp.methods.base import Method, NoOptions, UnfitError, find_method, method_names, register
from dmp.methods.variant import SamplingOptions, TrainingOptions, Variant, on_recipe

# These import torch: the methods import them when something is attached.
_COMPUTE = {"attached", "patched", "peft_adapter"}

for _module in pkgutil.iter_modules(__path__):
    if _module.name not in _COMPUTE:
        importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "Method",
    "NoOptions",
    "SamplingOptions",
    "TrainingOptions",
    "UnfitError",
    "Variant",
    "find_method",
    "method_names",
    "on_recipe",
    "register",
]
