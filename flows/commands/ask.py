"""Asking the notes: search, ask."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from components.errors import TerminalError
from components.recipe import LoadedRecipe
from components.usage import UsageLog, usage_file
from flows.commands.options import json_option, load, recipe_options

if TYPE_CHECKING:
    from components.answer.partner import Asked


@click.command("search")
@recipe_options
@click.argument("question")
@click.option("-k", type=click.IntRange(1, 200), help="how many chunks (default: index.search.k)")
@click.option("--kind", help="only notes of this kind, such as decision")
@click.option("--project", help="only notes of this project")
@click.option("--since", help="only notes dated on or after YYYY-MM-DD")
@click.option("--until", help="only notes dated on or before YYYY-MM-DD")
@click.option("--status", help="only notes of this status, such as current")
@json_option
def search_command(
    recipe: str, overrides: tuple[str, ...], question: str, k: int | None, as_json: bool, **filters: Any
) -> int:
    """Find the chunks of notes that speak of QUESTION, best first. Exit 1 when there is none."""
    from components.index.steps import open_index

    loaded = load(recipe, overrides).recipe
    search = loaded.index.search
    hits = open_index(loaded.index, workspace=loaded.workspace).search(
        question, k=k or search.k, fusion=search.fusion, dense_weight=search.dense_weight,
        candidates=max(search.candidates, k or search.k), **filters,
    )  # fmt: skip
    if as_json:
        click.echo(json.dumps([hit.to_dict() for hit in hits], indent=1, ensure_ascii=False))
    elif not hits:
        click.echo("nothing found", err=True)
    for hit in hits if not as_json else []:
        about = ", ".join(filter(None, [hit.kind, hit.date, hit.status if hit.status != "current" else None]))
        click.secho(f"{hit.score:.3f}  {hit.path}:{hit.first_line}-{hit.last_line}  ({about})", bold=True)
        if hit.heading:
            click.echo(f"       {' > '.join(hit.heading)}")
        text = " ".join(hit.text.split())
        click.echo(f"       {text[:200]}{'…' if len(text) > 200 else ''}\n")
    return 0 if hits else 1


@click.command("ask")
@recipe_options
@click.argument("question")
@json_option
def ask_command(recipe: str, overrides: tuple[str, ...], question: str, as_json: bool) -> int:
    """Answer QUESTION from the notes, with sources as file:lines. Exit 1 when it is not in the notes."""
    from components.answer import render
    from components.recipe.forget import asking_in

    loaded = load(recipe, overrides)
    with asking_in(loaded.recipe.workspace):
        asked = _asked(loaded, question)
    answer, reply = asked.answer, asked.answer.reply
    cost = reply.cost_usd if reply else 0.0
    if as_json:
        told = {"seconds": round(asked.seconds, 3), "search_seconds": round(asked.search_seconds, 3), "cost_usd": cost}
        click.echo(json.dumps(answer.to_dict() | told, indent=1, ensure_ascii=False))
        return 0 if answer.found else 1
    click.echo(render(answer))
    if asked.left_out:
        click.echo(f"{asked.left_out} local notes were left out: the model is not on this machine", err=True)
    model = f"{reply.model}{' (cached)' if reply.cached else ''}" if reply else "no model was asked"
    price = "unknown cost" if cost is None else f"${cost:.4f}" if cost else "no cost"
    click.echo(f"\n{model}, {asked.seconds:.1f} s (search {asked.search_seconds * 1000:.0f} ms), {price}", err=True)
    if reply and "smollm2" in reply.model.lower():
        click.echo("A model of 135M parameters: it shows the machinery, not what a partner can be.", err=True)
    return 0 if answer.found else 1


def _asked(loaded: LoadedRecipe, question: str) -> Asked:
    """Ask, and keep in the usage log what it took, or what kind of error it ended in."""
    workspace, started = loaded.recipe.workspace, time.perf_counter()
    # Where no run has been yet nothing is made: the answer is the command to run first.
    log = UsageLog(usage_file(workspace)) if workspace.is_dir() else None
    told: dict[str, Any] = {"door": "ask", "recipe": loaded.recipe.name, "question": question}
    try:
        asked: Asked = partner_of(loaded).ask(question)
    except Exception as error:
        if log:
            seconds = time.perf_counter() - started
            log.record(**told, model=loaded.recipe.llm.chat.model, seconds=seconds, error=type(error).__name__)
            log.close()
        raise
    if log:
        log.record(**told, **_taken(asked))
        log.close()
    return asked


def _taken(asked: Asked) -> dict[str, Any]:
    """What an answer took, for the usage log; `seconds` is what the person waited."""
    answer, reply = asked.answer, asked.answer.reply
    taken = {
        "search_seconds": asked.search_seconds, "found": answer.found,
        "sources": [source.path for source in answer.sources],
    }  # fmt: skip
    if reply is None:  # nothing near enough was found, and no model was asked
        return {**taken, "seconds": asked.seconds, "cost_usd": 0.0}
    return {
        **taken, "seconds": asked.seconds - (reply.seconds if reply.cached else 0.0), "cost_usd": reply.cost_usd,
        "model": reply.model, "is_local": reply.is_local, "cached": reply.cached,
        "prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.completion_tokens,
    }  # fmt: skip


def partner_of(loaded: LoadedRecipe) -> Any:
    """The partner of a recipe, on what is published; the prompt is compiled from the files as they are now."""
    from components.answer.steps import open_partner
    from components.index.steps import open_index
    from components.persona.steps import compile_texts, persona_texts
    from components.recipe.privacy import check_privacy, prompts_without_local
    from components.sncp.steps import read_notes

    recipe = loaded.recipe
    index = open_index(recipe.index, workspace=recipe.workspace)
    privacy = recipe.privacy
    notes = read_notes(recipe.sncp, persona_files=recipe.persona.files, local=privacy.local, workspace=recipe.workspace)
    check_privacy(recipe, notes.documents, asked=True)
    texts = persona_texts(recipe.persona, root=recipe.sncp.root, documents=notes.documents)
    prompt, session = compile_texts(recipe.persona, texts)
    return open_partner(
        workspace=recipe.workspace, index=index, search=recipe.index.search, prompt=prompt, session=session,
        llm=recipe.llm, answer=recipe.answer, leave_out_local=prompts_without_local(recipe, asked=True),
        trusted_hosts=privacy.trusted_hosts, adapter=_adapter(loaded),
    )  # fmt: skip


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
