"""Results that nothing has computed: files of arbitrary content, with the records of real ones."""

import os
from collections.abc import Iterable
from pathlib import Path
from random import Random

from dmp.products.product import Product


def make_products(products: Iterable[Product]) -> list[Product]:
    """Make each product's files, and its record; return the products."""
    made = list(products)
    for product in made:
        for path in product.watched:
            if not path.suffix and path != product.receipt:  # a folder of figures
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{product.stage} {product.names}")
        product.mark_finished()
    return made


def without_times(folder: Path, seed: int, latest: float = 1.5e9) -> None:
    """Give all that is in a folder times in no order; long past, if nothing else is said."""
    random = Random(seed)
    for path in folder.rglob("*"):
        moment = random.uniform(1.4e9, latest)
        os.utime(path, (moment, moment))


def relevant(metric, percent, better="lower"):
    """Return a metric as in the file of claims, with its smallest relevant effect."""
    return {"metric": metric, "better": better, "relevant_percent": percent, "reason": "r"}


def result_rows(arms, task="unconditional", metric="fid", **fields):
    """Return a row of results per seed and variant; ``arms``: variant to values, seeds from 0."""
    row = {"baseline_seed": 0, "bin": "all", "iteration": 300, "samples": 1000, "protocol": "p",
           "evaluator": "e", "commit": "c", "config": "x"}  # fmt: skip
    return [
        {"task": task, "variant": variant, "seed": seed, "metric": metric, "value": float(value)}
        | row
        | fields
        for variant, values in arms.items()
        for seed, value in enumerate(values)
    ]
