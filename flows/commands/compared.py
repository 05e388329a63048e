"""What the endpoint compared, side by side: compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from components.errors import InputError, TerminalError
from flows.commands.options import json_option, load, recipe_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.evaluate.said import Said
    from components.recipe import LoadedRecipe

__all__ = ["compared_command"]


@click.command("compared")
@recipe_options
@click.option("--judge", is_flag=True, help="have the judge of the recipe compare the newest shadow's kept texts")
@json_option
def compared_command(recipe: str, overrides: tuple[str, ...], judge: bool, as_json: bool) -> None:
    """Show what `serve.compare` recorded: what is in service and the candidate, side by side; the newest first.

    Answers, failures, seconds, cost, and what people said. With --judge, each pair of different texts that a shadow
    kept (serve.keep_conversations) is put to the judge in both orders; it is charged to llm.budget.per_run_usd.
    """
    from components.serve.compare import Comparisons, comparisons_file
    from components.serve.compare.sums import compared_sums, render_comparison
    from components.usage import UsageLog, usage_file

    loaded = load(recipe, overrides)
    workspace = loaded.recipe.workspace
    file = comparisons_file(workspace)
    if not file.is_file():
        raise InputError(
            f"{file} is not there: nothing was compared yet. Set serve.compare in the recipe ({{mode: shadow}}), then "
            "cervella serve"
        )
    records, found = Comparisons(file), []
    try:
        scores = UsageLog(usage_file(workspace)).scores()
        for candidate, mode in records.kept():
            answers = [one for one in records.answers(candidate) if one.mode == mode]
            found.append(compared_sums(answers, scores=scores))
        judged = _judged(loaded, *_newest_said(records)) if judge else None
    finally:
        records.close()
    if as_json:
        told = {"comparisons": [one.to_dict() for one in found], **({"judged": judged} if judged else {})}
        click.echo(json.dumps(told, indent=1, ensure_ascii=False))
        return
    click.echo("\n\n".join(map(render_comparison, found)) or "nothing was compared yet")
    if judged:
        click.echo(
            f"\nThe judge ({judged['model']}) on {judged['pairs']} pairs of {judged['candidate'][:12]}: the candidate "
            f"is better in {judged['better']}, what is in service in {judged['worse']}, neither in {judged['tie']}; "
            f"no verdict on {judged['failed']}."
        )


def _newest_said(records: Any) -> tuple[str, list[Said], list[Said]]:
    """Candidate of the newest shadow whose texts were kept, what it said, and what was in service said."""
    for candidate, mode in records.kept():
        candidates, champions = records.said(candidate) if mode == "shadow" else ([], [])
        if candidates:
            return candidate, candidates, champions
    raise TerminalError(
        "--judge: no texts of a shadow were kept. Set serve.keep_conversations: true beside serve.compare: "
        "{mode: shadow}, and have it compared"
    )


def _judged(loaded: LoadedRecipe, candidate: str, said: Sequence[Said], beside: Sequence[Said]) -> dict[str, Any]:
    """What the judge says of each pair, counted.

    Raises:
        TerminalError: the judge is elsewhere, and there are notes that must not leave this machine.
    """
    from components.evaluate.judge.ask import Tally
    from components.evaluate.judge.opening import open_judge
    from components.evaluate.judge.pairs import duels, judge_pairs
    from components.llm import Budget
    from components.sncp.steps import read_notes
    from components.store import progress_of
    from flows.commands.roadmap import compiled_prompt

    recipe = loaded.recipe
    limits = recipe.llm.budget
    judge = open_judge(
        recipe.evaluate.judge, recipe.llm, workspace=recipe.workspace, trusted_hosts=recipe.privacy.trusted_hosts,
        budget=Budget(per_run_usd=limits.per_run_usd, per_query_usd=limits.per_query_usd),
    )  # fmt: skip
    notes = read_notes(
        recipe.sncp, persona_files=recipe.persona.files, local=recipe.privacy.local, workspace=recipe.workspace
    )
    if (where := judge.chats[0].leaves_to) and any(document.local for document in notes.documents):
        raise TerminalError(
            f"--judge: {judge.model} is not on this machine (it goes to {where}), and there are notes that must not "
            "leave it (privacy: local), which answers and conversations may quote. Nothing was sent. Name a judge on "
            "this machine in llm.judge"
        )
    prompt, tally = compiled_prompt(loaded), Tally()
    pairs = list(
        judge_pairs(
            duels(said, beside), judge=judge, log=_Memory(), at_once=recipe.evaluate.at_once,
            persona=prompt.text if prompt else "", progress=progress_of("compared"), tally=tally,
        )
    )  # fmt: skip
    outcomes = [pair.outcome for pair in pairs]
    return {
        "candidate": candidate, "model": judge.model, "pairs": len(pairs), "better": outcomes.count("candidate"),
        "worse": outcomes.count("champion"), "tie": outcomes.count("tie"), "failed": outcomes.count(None),
        "cost_usd": tally.cost_usd,
    }  # fmt: skip


class _Memory(dict[str, dict[str, Any]]):
    """Replies of this call; those of a judge at temperature 0 are in the response cache too."""

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep one."""
        self[key] = value
