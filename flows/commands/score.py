"""The evaluation alone, on the published index, in one process: score."""

from __future__ import annotations

import json

import click

from components.store import progress_of
from flows.commands.options import json_option, load, recipe_options
from flows.commands.partners import partner_of
from flows.commands.terminal import told_in_terminal


@click.command("score")
@recipe_options
@click.option("--only", type=click.Choice(["retrieval"]), help="score retrieval alone; no model answers")
@json_option
def score_command(recipe: str, overrides: tuple[str, ...], only: str | None, as_json: bool) -> None:
    """Score the published index on golden questions (any file: -o evaluate.golden=FILE). Nothing is recorded."""
    from components.evaluate import build_scorecard, choose_questions, load_golden, render_scorecard
    from components.evaluate.steps import ask_all, golden_path, retrieve_all, score_rows
    from components.index.steps import open_index
    from components.recipe.forget import asking_in

    loaded = load(recipe, overrides)
    params = loaded.recipe.evaluate
    with asking_in(loaded.recipe.workspace), told_in_terminal():
        index = open_index(loaded.recipe.index, workspace=loaded.recipe.workspace)
        questions = load_golden(golden_path(params), known_paths=index.paths())
        rows = retrieve_all(
            questions, index=index, search=loaded.recipe.index.search, progress=progress_of("evaluate.retrieval")
        )
        found = score_rows(params, questions, rows, min_cosine=loaded.recipe.answer.min_score)
        chosen = [] if only else choose_questions(questions, params.answers, params.seed)
        records = (
            ask_all(chosen, partner=partner_of(loaded), progress=progress_of("evaluate.answers")) if chosen else []
        )
    card = build_scorecard(
        retrieval=found, answers=records, expected=len(chosen), search_seconds=[row["seconds"] for row in rows],
        bootstrap_samples=params.bootstrap_samples, seed=params.seed,
    )  # fmt: skip
    for name, why in list(card["undecided"].items()):
        if why.startswith("not asked"):  # by this command; a run asks for personality and tasks
            del card["undecided"][name], card["metrics"][name]
    click.echo(json.dumps(card, indent=1, ensure_ascii=False) if as_json else render_scorecard(card))
