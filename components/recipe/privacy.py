"""Section `privacy` of a recipe: notes that must not leave this machine, and what happens when a model is elsewhere.

The rooms hold the doors (a model that is elsewhere refuses marked texts, see `components.llm.places`); this module
says so before a run starts, and what the run does without.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from components.errors import TerminalError
from components.index.bucket.objects import endpoint_url
from components.llm.names import is_remote
from components.llm.places import is_here, leaves_to
from components.llm.spread.cluster import address_leaves_to
from components.params import Params

if TYPE_CHECKING:
    from components.recipe.model import Recipe
    from components.sncp import Document

__all__ = ["PrivacyParams", "check_notes", "check_privacy", "index_without_local", "leaving", "prompts_without_local"]

_NAMED = 5
_OF_INDEX = frozenset({"index.embedding.model", "index.copy_to"})
"""Keys by which the words of notes go away with the index alone."""


class PrivacyParams(Params):
    """Notes that must not leave this machine, beside those whose front matter says `privacy: local`."""

    local: list[str] = Field(default=[], description="globs of such notes, relative to sncp.root")
    when_remote: Literal["refuse", "leave_out"] = Field(
        default="refuse",
        description="refuse: nothing starts that would send one away; leave_out: do without these notes there",
    )
    trusted_hosts: list[str] = Field(
        default=[], description="hosts of api_base that count as this machine, such as 192.168.1.5"
    )


def leaving(recipe: Recipe, *, asked: bool = False) -> dict[str, str]:
    """Key of the recipe -> where the words of notes go by it, for all that is not on this machine.

    Of a run of the recipe's phase: the embedder and the bucket that gets a copy of the index, in dataset neither; in
    phases mvp, optimize and scale also the chat model, and the judge where answers are judged; in
    dataset and optimize the models that write examples; in all but reindex what records them (MLflow, and the Prefect
    server that the environment names). `asked`: of a question from the terminal, which is recorded nowhere.
    """
    trusted = recipe.privacy.trusted_hosts
    found: dict[str, str | None] = {}
    if asked or recipe.phase != "dataset":
        embedding = recipe.index.embedding
        found["index.embedding.model"] = leaves_to(embedding.model, api_base=embedding.api_base, trusted_hosts=trusted)
        if not asked and embedding.model != "none" and not is_remote(embedding.model):
            found["index.embedding.model"] = _cluster(recipe)
    if (
        recipe.index.copy_to
        and not asked
        and recipe.phase not in ("dataset", "scale")
        and not is_here(endpoint_url() or "", trusted)
    ):
        found["index.copy_to"] = recipe.index.copy_to
    writes = recipe.phase in ("dataset", "optimize") and recipe.dataset.generate.per_note > 0
    answers = asked or recipe.phase in ("mvp", "optimize", "scale")
    chats = {"llm.chat.model": recipe.llm.chat} if answers or writes else {}
    judged = recipe.scale.judge if recipe.phase == "scale" else recipe.evaluate.personality or recipe.evaluate.tasks
    judges = answers and not asked and bool(judged)
    if (writes or judges) and recipe.llm.judge is not None:
        chats["llm.judge.model"] = recipe.llm.judge
    for key, chat in chats.items():
        found[key] = leaves_to(chat.model, api_base=chat.api_base, trusted_hosts=trusted)
        if answers and not asked and not is_remote(chat.model):
            found[key] = _cluster(recipe)
    if recipe.phase != "reindex" and not asked:
        uri = recipe.registry.tracking_uri or ""
        elsewhere = "://" in uri or uri.startswith("databricks")  # anything else is a path
        if elsewhere and not uri.startswith(("sqlite:", "file:")) and not is_here(uri, trusted):
            found["registry.tracking_uri"] = uri
        server = os.environ.get("PREFECT_API_URL", "")
        if server and not is_here(server, trusted):
            found["PREFECT_API_URL"] = server
    return {key: where for key, where in found.items() if where}


def _cluster(recipe: Recipe) -> str | None:
    """Where the Ray cluster is that does the work of models of this process; None: here, or there is none."""
    execution = recipe.execution
    if execution.runner != "ray":
        return None
    return address_leaves_to(execution.ray_address, trusted_hosts=recipe.privacy.trusted_hosts)


def index_without_local(recipe: Recipe) -> bool:
    """Whether the index is made without the local notes: their words would go to an embedder or a bucket elsewhere."""
    return recipe.privacy.when_remote == "leave_out" and not _OF_INDEX.isdisjoint(leaving(recipe))


def prompts_without_local(recipe: Recipe, *, asked: bool = False) -> bool:
    """Whether prompts are made without the local notes: the model, or what records its answers, is elsewhere."""
    return recipe.privacy.when_remote == "leave_out" and any(
        key not in _OF_INDEX for key in leaving(recipe, asked=asked)
    )


def check_privacy(recipe: Recipe, documents: Iterable[Document], *, asked: bool = False) -> None:
    """Refuse, before anything is done, what would send the words of a local note away.

    Args:
        recipe: as it will run.
        documents: as collected.
        asked: see `leaving`.

    Raises:
        TerminalError: there are local notes, something is elsewhere, and the recipe does not leave them out; or one
            of them is the persona itself, which cannot be left out.
    """
    away = leaving(recipe, asked=asked)
    local = [document for document in documents if document.local] if away else []
    if not local:
        return
    told = "; ".join(f"{key} ({where})" for key, where in away.items())
    if recipe.privacy.when_remote == "refuse":
        raise TerminalError(
            f"{_notes(local)} must not leave this machine, and this would send their words elsewhere: {told}. "
            "Nothing was sent. Either use models on this machine (index.embedding.model: local/..., an api_base on "
            "127.0.0.1, or a host in privacy.trusted_hosts) and no index.copy_to, or set privacy.when_remote: "
            "leave_out to do without these notes there"
        )
    persona = [document for document in local if document.kind == "persona"]
    if persona and set(away) - _OF_INDEX:
        raise TerminalError(
            f"{_notes(persona)} must not leave this machine, and is part of every prompt, which goes elsewhere: "
            f"{told}. Nothing was sent. A persona cannot be left out: use a chat model on this machine, or another file"
        )


def check_notes(recipe: Recipe) -> None:
    """Read the notes and do as `check_privacy`, for a run that is about to start; reads nothing if all is here."""
    if leaving(recipe):
        from components.sncp.steps import read_notes

        privacy, files = recipe.privacy, recipe.persona.files
        found = read_notes(recipe.sncp, persona_files=files, local=privacy.local, workspace=recipe.workspace)
        check_privacy(recipe, found.documents)


def _notes(documents: list[Document]) -> str:
    names = sorted(document.path for document in documents)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} local note{'s' if len(names) > 1 else ''} ({', '.join(names[:_NAMED])}{more})"
