"""Asking the notes: search, ask."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from components.recipe import LoadedRecipe
from components.sncp.redact import mask_secrets
from components.usage import UsageLog, usage_file
from flows.commands.options import json_option, load, recipe_options
from flows.commands.partners import champion_of, partner_of

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
    hits = open_index(loaded.index, workspace=loaded.workspace, keep_questions=False).search(
        mask_secrets(question), k=k or search.k, fusion=search.fusion, dense_weight=search.dense_weight,
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
@click.option("--champion", is_flag=True, help="let the release in service answer, whatever the recipe says by now")
@json_option
def ask_command(recipe: str, overrides: tuple[str, ...], question: str, champion: bool, as_json: bool) -> int:
    """Answer QUESTION from the notes, with sources as file:lines. Exit 1 when it is not in the notes."""
    from components.answer import render
    from components.recipe.forget import asking_in

    loaded = load(recipe, overrides)
    with asking_in(loaded.recipe.workspace):
        asked = _asked(loaded, question, champion=champion)
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


def _asked(loaded: LoadedRecipe, question: str, *, champion: bool) -> Asked:
    """Ask, and keep in the usage log what it took, or what kind of error it ended in."""
    workspace, started = loaded.recipe.workspace, time.perf_counter()
    # Where no run has been yet nothing is made: the answer is the command to run first.
    log = UsageLog(usage_file(workspace)) if workspace.is_dir() else None
    told: dict[str, Any] = {"door": "ask", "recipe": loaded.recipe.name, "question": question}
    try:
        if champion:
            partner, told["release"] = champion_of(loaded)
        else:
            partner = partner_of(loaded)
        asked: Asked = partner.ask(question)
    except Exception as error:
        if log:
            seconds = time.perf_counter() - started
            log.record(**told, model=loaded.recipe.llm.chat.model, seconds=seconds, error=type(error).__name__)
            log.close()
        raise
    if log:
        log.record(**told, **taken(asked))
        log.close()
    return asked


def taken(asked: Asked) -> dict[str, Any]:
    """What an answer took, for the usage log; `seconds` is what the person waited."""
    answer, reply = asked.answer, asked.answer.reply
    told = {
        "search_seconds": asked.search_seconds, "found": answer.found,
        "sources": [source.path for source in answer.sources],
    }  # fmt: skip
    if reply is None:  # nothing near enough was found, and no model was asked
        return {**told, "seconds": asked.seconds, "cost_usd": 0.0}
    return {
        **told, "seconds": asked.seconds - (reply.seconds if reply.cached else 0.0), "cost_usd": reply.cost_usd,
        "model": reply.model, "is_local": reply.is_local, "cached": reply.cached,
        "prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.completion_tokens,
    }  # fmt: skip
