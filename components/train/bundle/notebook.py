"""The notebook of a bundle, for Colab's free T4: Drive, upload, training that goes on after a cut session, download.

Its cells are plain Python, so they work outside Colab too: what Colab alone has (Drive, upload, download) is skipped
there, and said.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["notebook"]

_TOP = """\
# {recipe}: train an adapter

`Runtime > Change runtime type > T4 GPU`, then `Runtime > Run all`. Nothing else is needed.

A free session may be cut at any time. Checkpoints are on your Drive (folder `cervella`): open this notebook again, \
`Run all`, and it goes on. At the end `{result}` is downloaded; bring it home with `cervella train unpack`.

{facts}

What this notebook uploads are {rows} of your examples. They go to Google, into your own Drive.
"""

_SETTINGS = """\
import pathlib

BUNDLE = "{bundle}"
RESULT = "{result}"
"""

_GPU = """\
import shutil
import subprocess

if shutil.which("nvidia-smi"):
    print(subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout)
else:
    print("No GPU. On Colab: Runtime > Change runtime type > T4 GPU, and run all again")
"""

_DRIVE = """\
try:
    from google.colab import drive
except ImportError:
    print("This is not Colab: checkpoints are kept in the folder cervella, here")
    KEEP = pathlib.Path("cervella").absolute()
else:
    drive.mount("/content/drive")
    KEEP = pathlib.Path("/content/drive/MyDrive/cervella")
KEEP.mkdir(parents=True, exist_ok=True)
"""

_BUNDLE = """\
import zipfile

HERE = pathlib.Path.cwd()
FOLDER = HERE / BUNDLE.removesuffix(".zip")
if (HERE / "train.py").exists():  # the notebook lies in the bundle, unzipped
    FOLDER = HERE
elif not (FOLDER / "train.py").exists():
    found = next((path for path in (HERE / BUNDLE, KEEP / BUNDLE) if path.exists()), None)
    if found is None:
        try:
            from google.colab import files
        except ImportError:
            raise FileNotFoundError(f"put {{BUNDLE}} into {{HERE}}") from None
        print(f"Choose {{BUNDLE}}")
        files.upload()
        found = HERE / BUNDLE
        if not found.exists():
            raise FileNotFoundError(f"that was another file: {{BUNDLE}} is needed. Run this cell again")
        shutil.copyfile(found, KEEP / BUNDLE)  # the next session finds it on Drive
    with zipfile.ZipFile(found) as archive:
        archive.extractall(HERE)
print(FOLDER)
"""

_TRAIN = """\
import signal
import sys

command = [sys.executable, "train.py", "--keep", str(KEEP)]
with subprocess.Popen(
    command, cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
) as training:
    try:
        for line in training.stdout:
            print(line, end="", flush=True)
    except KeyboardInterrupt:
        training.send_signal(signal.SIGINT)  # it saves a checkpoint and ends
        print(training.stdout.read())
if training.returncode:
    raise RuntimeError("The training is not done. Run this cell again: it goes on from the last checkpoint")
"""

_DOWNLOAD = """\
try:
    from google.colab import files
except ImportError:
    print(f"The result: {{FOLDER / RESULT}}")
else:
    files.download(str(FOLDER / RESULT))
    print(f"It is on your Drive too: {{KEEP / RESULT}}")
"""


def notebook(*, recipe: str, bundle: str, result: str, facts: str, rows: int) -> str:
    """The notebook as JSON (nbformat 4.5); the same text for the same arguments.

    Args:
        recipe: name of the recipe.
        bundle: file name of the bundle, which is asked for where it is not on Drive.
        result: file name of the result.
        facts: Markdown: what is trained, and what it is expected to take.
        rows: how many examples are in the bundle.
    """
    values = {"recipe": recipe, "bundle": bundle, "result": result, "facts": facts, "rows": rows}
    cells = [
        ("top", "markdown", _TOP), ("settings", "code", _SETTINGS), ("gpu", "code", _GPU), ("drive", "code", _DRIVE),
        ("bundle", "code", _BUNDLE), ("train", "code", _TRAIN), ("download", "code", _DOWNLOAD),
    ]  # fmt: skip
    fields: dict[str, dict[str, Any]] = {"markdown": {}, "code": {"execution_count": None, "outputs": []}}
    return json.dumps(
        {
            "cells": [
                {"cell_type": kind, "id": name, "metadata": {}, **fields[kind],
                 "source": text.format(**values).rstrip("\n").splitlines(keepends=True)}
                for name, kind, text in cells
            ],
            "metadata": {
                "accelerator": "GPU",
                "colab": {"gpuType": "T4", "provenance": []},
                "kernelspec": {"display_name": "Python 3", "name": "python3"},
                "language_info": {"name": "python"},
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        },
        indent=1, ensure_ascii=False,
    ) + "\n"  # fmt: skip
