"""The system prompt of a release in MLflow's registry of prompts: one version for each text.

State after a hard crash: a prompt without a version; asked again, the version is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from components.store import sha256_hex

__all__ = ["find_prompt", "prompt_name"]

_TEXT = "cervella.text_sha256"


def prompt_name(model_name: str) -> str:
    """Prompts and models share one name space, and prompt names are stricter."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "-" for c in model_name)
    return f"{plain}-persona"


def find_prompt(
    client: Any, model_name: str, text: str, tokens: int, experiment_id: str, at: Callable[[str], None]
) -> int:
    """The version of the prompt with this very text; made when there is none.

    Not `register_prompt`: it makes a new version for the same text, and it links the prompt to whatever experiment is
    active in this process, in a thread that nobody waits for.
    """
    from mlflow.exceptions import MlflowException

    name, experiments = prompt_name(model_name), f",{experiment_id},"
    try:
        prompt = client.get_prompt(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        prompt = None
    if prompt is None:
        client.create_prompt(name, description="System prompt: persona of a release")
        client.set_prompt_tag(name, "_mlflow_experiment_ids", experiments)
    elif experiments not in prompt.tags.get("_mlflow_experiment_ids", ""):
        before = prompt.tags.get("_mlflow_experiment_ids", "").rstrip(",")
        client.set_prompt_tag(name, "_mlflow_experiment_ids", before + experiments)
    at("prompt created")
    token: str | None = None
    while True:
        page = client.search_prompt_versions(name, max_results=100, page_token=token)
        for version in page:
            if version.template == text:
                return int(version.version)
        token = page.token
        if not token:
            break
    tags = {_TEXT: sha256_hex(text.encode()), "tokens": str(tokens)}
    made = client.create_prompt_version(name, text, description=f"{tokens} tokens", tags=tags)
    at("prompt registered")
    return int(made.version)
