"""What the paper claims, sentence by sentence, and what the results say about it; no torch.

Read in this order: :mod:`~dmp.claims.schema` and :mod:`~dmp.claims.pieces` (``claims.yaml``),
:mod:`~dmp.claims.measured` (the results, aligned by seed), :mod:`~dmp.claims.contrast` (one tested
number), :mod:`~dmp.claims.kinds` and :mod:`~dmp.claims.exact` (one function per kind of evidence),
:mod:`~dmp.claims.evaluate` (all evidence, corrected together, and the verdicts),
:mod:`~dmp.claims.summary` (the verdicts on the claims), :mod:`~dmp.claims.page` (the page).
"""
