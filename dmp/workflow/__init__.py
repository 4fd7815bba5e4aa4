"""What the rules ask: which files a job is made from, what it needs, and what is outdated.

The rules in ``workflow/rules`` name files and commands; whatever has to be worked out is here.
"""

from dmp.extras import needs

needs("bench", "snakemake_interface_logger_plugins", "yaml")
