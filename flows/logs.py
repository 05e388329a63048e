"""What Prefect's log of a run says: what the terminal says, and nothing twice.

Prefect itself would keep our steps out of it, and tell each error with a traceback at every level that it passes.
"""

from __future__ import annotations

import logging

from prefect.exceptions import FailedRun

from components.errors import CervellaError
from components.store import logger

__all__ = ["ready_logs"]

_HOOKS = ("Running hook ", "Hook ")


def ready_logs() -> None:
    """Let the log of runs in this process be as described; to be called again does no harm."""
    if logger.level == logging.NOTSET:  # of a worker's run: what is not a warning would be left out
        logger.setLevel(logging.INFO)
    logging.getLogger("prefect.task_runs").addFilter(_of_task)
    logging.getLogger("prefect.flow_runs").addFilter(_of_flow)


def _of_task(record: logging.LogRecord) -> bool:
    """Whether a record of a task is shown: its end is told by our steps, its error in the words of the terminal."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, CervellaError):
        record.msg, record.args, record.exc_info = str(error), (), None
    return not record.getMessage().startswith("Finished in state ")


def _of_flow(record: logging.LogRecord) -> bool:
    """Whether a record of a flow is shown: an error that passes through it is not, its task or its run has told it."""
    if record.levelno <= logging.INFO and record.getMessage().startswith(_HOOKS):
        return False
    return not (record.exc_info and isinstance(record.exc_info[1], FailedRun | CervellaError))
