"""Where you stand: roadmap."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from components.errors import InputError, TerminalError
from components.recipe import LoadedRecipe
from flows.commands.options import json_option, load, recipe_options

if TYPE_CHECKING:
    from components.persona import Prompt
    from components.roadmap.stand import Roadmap


@click.command("roadmap")
@recipe_options
@json_option
def roadmap_command(recipe: str, overrides: tuple[str, ...], as_json: bool) -> int:
    """Phase reached, triggers of the next one, costs, decision, risks. Exit 1 while something is missing for it.

    Nothing is run and nothing is written: the persona is compiled from the files as they are now; runs, the release in
    service and the usage log are read where they are.
    """
    from components.roadmap.render import render_roadmap

    found = roadmap_now(load(recipe, overrides))
    click.echo(json.dumps(found.to_dict(), indent=1, ensure_ascii=False) if as_json else render_roadmap(found))
    return 0 if found.ready else 1


def roadmap_now(loaded: LoadedRecipe) -> Roadmap:
    """Where the owner of a recipe stands now. Raises as `roadmap_of`, and InputError for a persona that is wrong."""
    from components.roadmap.risks import presets_beside
    from components.roadmap.stand import roadmap_of

    values = loaded.recipe
    return roadmap_of(
        workspace=values.workspace, recipe=values.name, params=values.roadmap, dataset=values.dataset,
        train=values.train, evaluate=values.evaluate, llm=values.llm, model_name=values.registry.model_name,
        prompt=compiled_prompt(loaded), tokenizer=values.persona.tokenizer, model_presets=presets_beside(loaded.path),
        helper=values.serve.router.helper.model if values.serve.router else None,
    )  # fmt: skip


def compiled_prompt(loaded: LoadedRecipe) -> Prompt | None:
    """The persona, compiled from its files as they are now; None: it cannot be, and a line says why."""
    from components.persona.steps import compile_texts, persona_texts
    from components.sncp.steps import read_notes

    recipe = loaded.recipe
    notes = read_notes(
        recipe.sncp, persona_files=recipe.persona.files, local=recipe.privacy.local, workspace=recipe.workspace
    )
    try:
        texts = persona_texts(recipe.persona, root=recipe.sncp.root, documents=notes.documents)
        return compile_texts(recipe.persona, texts)[0]
    except InputError:
        raise
    except TerminalError as error:  # it does not fit its budget, and its tokens are not known
        click.echo(f"the tokens of the persona are unknown: {error}", err=True)
        return None
