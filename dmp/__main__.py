"""The command ``dmp``; as ``python -m dmp``, how torchrun starts it."""

import sys

from dmp.extras import MissingExtraError


def main() -> None:
    """Run the command line, or say in one line what it lacks."""
    try:
        from dmp.cli import main as command_line
    except MissingExtraError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.status)
    command_line()


if __name__ == "__main__":
    try:
        main()
    finally:
        from dmp.running.processes import leave_group

        leave_group()
