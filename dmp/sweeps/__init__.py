"""Searches over the method's options: many runs, a front of the best, and its confirmation.

Nothing is imported here, so that the command line can name the commands without paying for Optuna.
"""

from dmp.extras import needs

needs("bench", "filelock", "matplotlib", "optuna", "pandas", "yaml")
