"""What the paper claims, sentence by sentence, and what the results say about it; no torch.

Read in this order: :mod:`~dmp.claims.schema` (``claims.yaml``), :mod:`~dmp.claims.evidence` (what a
kind of evidence is), :mod:`~dmp.claims.kinds` (one file per kind), :mod:`~dmp.claims.numbers` (what
they are given), :mod:`~dmp.claims.measurement` (what they return), :mod:`~dmp.claims.evaluate` (all
evidence, corrected together, and the verdicts), :mod:`~dmp.claims.summary` (those on the claims).
"""

from dmp.extras import needs

needs("bench", "pandas", "scipy", "statsmodels")
