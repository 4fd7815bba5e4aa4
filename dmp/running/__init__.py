"""Running on shared machines: signals, time limits, several processes, and the lease of a GPU.

Nothing here changes a number; nothing here imports torch before it has to.
"""

from dmp.extras import needs

needs("bench", "filelock")
