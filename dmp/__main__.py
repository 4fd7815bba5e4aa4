"""``python -m dmp``: how torchrun starts the command line."""

from dmp.cli import main
from dmp.running.processes import leave_group

try:
    main()
finally:
    leave_group()
