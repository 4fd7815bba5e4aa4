"""The command ``dmp``; as ``python -m dmp``, how torchrun starts it."""

import atexit
import gc
import os
import sys

from dmp.extras import MissingExtraError

# Hardly anything that is imported is ever garbage, and by default 700 new objects have Python look
# for some: a sixth of the time in which a job starts.
OBJECTS_BETWEEN_COLLECTIONS = 100_000


def main() -> None:
    """Run the command line, or say in one line what it lacks.

    A job starts in a few seconds, and there are a hundred of them in a small workflow: neither
    looking for garbage among what is imported nor taking it apart at the end is worth their time.
    """
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *gc.get_threshold()[1:])
    ended: list[int] = []
    # The first to be registered is the last to be called.
    atexit.register(_leave, ended)
    try:
        from dmp.cli import main as command_line

        command_line()
    except MissingExtraError as error:
        print(f"error: {error}", file=sys.stderr)
        ended.append(error.status)
        sys.exit(error.status)
    except SystemExit as end:
        ended.extend([end.code] if isinstance(end.code, int) else [])
        raise


def _leave(ended: list[int]) -> None:
    """End the process with the status that it asked for, if it did, and without more ado.

    Everything registered has been called, and all threads have ended. Output that cannot be
    written raises, and Python goes on to end as it always does.
    """
    if ended:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # closed ones are None
            stream.flush()
        os._exit(ended[0])


if __name__ == "__main__":
    try:
        main()
    finally:
        if "torch" in sys.modules:  # else there is no group, and perhaps not what starts one
            from dmp.running.processes import leave_group

            leave_group()
