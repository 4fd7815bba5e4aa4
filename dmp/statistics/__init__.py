"""What the numbers of runs say, and how surely; no torch.

Read in this order: :mod:`~dmp.statistics.results` (the input), :mod:`~dmp.statistics.estimates`
(one cell), :mod:`~dmp.statistics.paired` (two cells), :mod:`~dmp.statistics.holm` (many pairs),
:mod:`~dmp.statistics.study` (a whole study), :mod:`~dmp.statistics.convergence` (baselines).
"""

from dmp.extras import needs

needs("bench", "pandas", "scipy", "statsmodels")
