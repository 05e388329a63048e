"""Who answers: the partner as the recipe says now, or the release in service; for one question, or to be served."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.recipe import LoadedRecipe
from components.serve.desk import NotInServiceError

if TYPE_CHECKING:
    from components.answer.partner import Partner
    from components.index import Index
    from components.llm.chat import Backend
    from components.llm.params import ChatParams
    from components.recipe.model import Recipe
    from components.registry.champion import Champion

__all__ = ["Serves", "champion_of", "in_service", "open_release", "partner_of"]

Serves = Callable[["ChatParams", "Mapping[str, Any] | None"], "Backend"]
"""Has the own model served: of `llm.chat`, and a release (`release.json`) or None for what the recipe says."""


def partner_of(loaded: LoadedRecipe, *, before: Partner | None = None, serves: Serves | None = None) -> Any:
    """The partner of a recipe, on what is published; the prompt is compiled from the files as they are now.

    `before`: one of the same recipe, whose index, embedder and budget are taken over. `serves`: what has her model
    served; None: it is asked as `llm.chat` says.
    """
    from components.answer.steps import open_partner
    from components.persona.steps import compile_texts, persona_texts
    from components.recipe.privacy import check_privacy, prompts_without_local
    from components.sncp.steps import read_notes

    recipe = loaded.recipe
    index = _index(recipe, before)
    privacy = recipe.privacy
    notes = read_notes(
        recipe.sncp, persona_files=recipe.persona.files, local=privacy.local, workspace=recipe.workspace,
        may_be_none=recipe.index.read_from is not None,  # they are where the index is made
    )  # fmt: skip
    check_privacy(recipe, notes.documents, asked=True)
    texts = persona_texts(recipe.persona, root=recipe.sncp.root, documents=notes.documents)
    prompt, session = compile_texts(recipe.persona, texts)
    return open_partner(
        workspace=recipe.workspace, index=index, search=recipe.index.search, prompt=prompt, session=session,
        llm=recipe.llm, answer=recipe.answer, leave_out_local=prompts_without_local(recipe, asked=True),
        trusted_hosts=privacy.trusted_hosts, adapter=None if serves else _adapter(loaded),
        budget=before.budget if before else None, backend=serves(recipe.llm.chat, None) if serves else None,
    )  # fmt: skip


def in_service(loaded: LoadedRecipe) -> Champion:
    """The release in service. Raises NotInServiceError: there is none; TerminalError: nobody can tell."""
    from components.registry.champion import read_champion

    recipe = loaded.recipe
    champion: Champion | None = read_champion(recipe.workspace, recipe.registry.model_name)
    if champion is None:
        raise NotInServiceError(
            f"nothing is in service as {recipe.registry.model_name}: cervella promote {loaded.path} puts a release "
            "there"
        )
    return champion


def champion_of(loaded: LoadedRecipe) -> tuple[Any, str]:
    """The release in service, as a partner on what is published; and its digest.

    Raises:
        TerminalError: nothing is in service, or it cannot be asked on this index.
    """
    champion = in_service(loaded)
    return open_release(loaded, champion.release), champion.digest


def open_release(
    loaded: LoadedRecipe, release_id: str, *, before: Partner | None = None, serves: Serves | None = None
) -> Any:
    """A sealed release, as a partner on what is published.

    Prompt, model, adapter and settings are the release's; notes and session context are today's. `release_id`: of its
    artefact. `before`, `serves`: as for `partner_of`.

    Raises:
        TerminalError: it cannot be asked on this index.
    """
    from components.answer.steps import open_partner
    from components.evaluate.asking.contestants import no_champion, read_champion_release
    from components.llm.counting import embedder_id
    from components.persona.params import SessionParams
    from components.persona.steps import compile_texts, persona_texts
    from components.recipe.privacy import check_privacy, prompts_without_local
    from components.sncp.steps import read_notes
    from components.store import Store

    recipe = loaded.recipe
    sealed, embedding = Store(recipe.workspace).open(release_id), recipe.index.embedding
    own = {
        "embedder": embedder_id(
            model=embedding.model, dimensions=embedding.dimensions, api_base=embedding.api_base
        ),
        "chunk": recipe.index.chunk.model_dump(mode="json"),
    }  # fmt: skip
    release = sealed.read_json("release.json")
    if why := no_champion(release, candidate={"index": own}, files=list(sealed.manifest["outputs"])):
        raise TerminalError(f"{why}. Ask with the recipe that it was made of")
    champion = read_champion_release(sealed, llm=recipe.llm)
    session = release["persona"]["session"]
    recipe = recipe.model_copy(
        update={
            "llm": champion.llm,
            "persona": recipe.persona.model_copy(
                update={"session": SessionParams.model_validate(session) if session else None}
            ),
        }
    )
    privacy = recipe.privacy
    notes = read_notes(
        recipe.sncp, persona_files=recipe.persona.files, local=privacy.local, workspace=recipe.workspace,
        may_be_none=recipe.index.read_from is not None,  # they are where the index is made
    )  # fmt: skip
    check_privacy(recipe, notes.documents, asked=True)
    texts = persona_texts(recipe.persona, root=recipe.sncp.root, documents=notes.documents)
    return open_partner(
        workspace=recipe.workspace, index=_index(recipe, before), search=champion.search,
        prompt=champion.prompt, session=compile_texts(recipe.persona, texts)[1], llm=champion.llm,
        answer=champion.answer, leave_out_local=prompts_without_local(recipe, asked=True),
        trusted_hosts=privacy.trusted_hosts, adapter=None if serves else champion.adapter,
        budget=before.budget if before else None, backend=serves(champion.llm.chat, release) if serves else None,
    )  # fmt: skip


def _index(recipe: Recipe, before: Partner | None) -> Index:
    from components.index.steps import open_index

    if before is not None and before.index.live_digest() is not None:
        return before.index  # it follows what is published by itself
    return open_index(recipe.index, workspace=recipe.workspace, keep_questions=False)


def _adapter(loaded: LoadedRecipe) -> Path | None:
    """Of phase optimize, what a model of this process answers with: the adapter that this recipe has exported last."""
    from components.evaluate.steps import adapter_file
    from components.store import Store, read_runs

    recipe = loaded.recipe
    if recipe.phase != "optimize" or not recipe.llm.chat.model.startswith("local/"):
        return None
    for state in read_runs(recipe.workspace):
        if state["recipe"] != recipe.name or state.get("matrix"):
            continue  # of a matrix the best one is taken into service by a run of its own
        for step in state["steps"]:
            if step["name"] == "train.export" and step.get("artefact"):
                return adapter_file(Store(recipe.workspace).open(step["artefact"]))
    raise TerminalError(f"nothing was trained by this recipe yet: cervella run {loaded.path} trains and exports it")
