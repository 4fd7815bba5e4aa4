"""Values of four seeds, and the evidence that is judged on them in most tests of claims."""

import numpy as np

BASE = np.array([10.2, 9.9, 10.4, 10.1])
LARGER = BASE + np.array([1.0, 1.2, 0.9, 1.1])
SMALLER = BASE - [1.0, 1.2, 0.9, 1.1]
DIFFERENCE = {
    "test": "difference", "task": "unconditional", "variant": "dmp", "against": "baseline",
    "predicts": "better",
}  # fmt: skip
EQUIVALENCE = {k: v for k, v in DIFFERENCE.items() if k != "predicts"} | {"test": "equivalence"}
