"""What a flow asks for, found by importing its file in a process of its own, as a worker would.

`prefect deploy` falls back to guessing from the text when the file cannot be imported, and then leaves out of the form
what it cannot know, without a word. Here that is a fault.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.services.deployments.model import Form

__all__ = ["read_forms"]

_SECONDS = 120
_HOUSE = Path(__file__).resolve().parents[3]


def read_forms(entrypoints: list[str], *, folder: Path) -> dict[str, Form | str]:
    """Entrypoint (`flows/run.py:run_recipe`) -> its form, or a sentence that says why there is none.

    Args:
        entrypoints: files relative to `folder`, each with the name of the flow's function.
        folder: where prefect.yaml is; the process works there.

    Raises:
        TerminalError: the process itself did not end as it should.
    """
    if not entrypoints:
        return {}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(_HOUSE), os.getenv("PYTHONPATH")]))}
    try:
        done = subprocess.run(  # noqa: S603 (our own interpreter and module; the files are the user's own)
            [sys.executable, "-m", "components.services.deployments.form", *entrypoints],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TerminalError(f"{folder}: the flows are not imported after {_SECONDS} s; expected seconds") from None
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        end = "\n".join((done.stderr or done.stdout).splitlines()[-8:])
        raise TerminalError(f"{folder}: the flows could not be looked at (exit {done.returncode}).\n{end}")
    told = json.loads(lines[-1])  # whatever the flows print themselves comes before
    return {name: one if isinstance(one, str) else Form(**one) for name, one in told.items()}


def _form(entrypoint: str) -> dict[str, object] | str:
    file, _, function = entrypoint.rpartition(":")
    if not Path(file).is_file():
        return f"there is no file {file!r}; expected file:function, the file relative to the folder of prefect.yaml"
    from prefect.exceptions import MissingFlowError
    from prefect.flows import Flow, load_flow_from_entrypoint
    from prefect.utilities.callables import parameter_schema

    try:
        flow: Flow[..., Any] = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
        schema = parameter_schema(flow).model_dump_for_openapi()
        for field in schema.get("properties", {}).values():
            if "const" in field:  # a list of one; the UI makes a dropdown of `enum` alone
                field["enum"] = [field.pop("const")]
    except MissingFlowError:
        return f"{file} has no flow {function!r}"
    except BaseException as error:  # the file is the user's: whatever it raises, or if it exits
        cause = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        said = f"{type(cause).__name__}: {cause}".strip()
        return said.splitlines()[0][:300]
    return {"flow": flow.name, "description": flow.description, "schema": schema}


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    print("\n" + json.dumps({name: _form(name) for name in sys.argv[1:]}))
