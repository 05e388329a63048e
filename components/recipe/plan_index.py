"""The plan of the notes and their index: which notes changed, which chunks, which texts have to be embedded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from components.errors import InputError, TerminalError
from components.evaluate import Question, load_golden
from components.index import NO_EMBEDDER
from components.index import steps as index
from components.index.published import read_published
from components.index.rollback import held_back
from components.index.wanted import Wanted
from components.recipe.model import Recipe
from components.recipe.plan_notes import NoteChanges, compare_notes
from components.recipe.plan_past import Past
from components.recipe.plan_steps import Input, Planner
from components.recipe.plan_world import ModelOfIndex, World
from components.recipe.privacy import check_privacy, index_without_local
from components.sncp import Collection
from components.sncp import steps as sncp
from components.store import Artefact

__all__ = ["PlannedIndex", "plan_index"]

_SMALL = 10  # notes: below this number the index lets any share vanish


@dataclass(frozen=True)
class PlannedIndex:
    """What is known ahead of time of notes and index; the golden questions; why the run would stop."""

    collection: Collection
    notes: NoteChanges
    built: Input
    questions: list[Question]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Published:
    """What is published now, as far as the store knows how it came about."""

    digest: str | None
    embedder: str | None = None
    notes: Artefact | None = None
    chunks: Artefact | None = None

    @cached_property
    def rows(self) -> Wanted:
        """Its chunks."""
        return Wanted(()) if self.chunks is None else index.read_wanted(self.chunks)


def plan_index(planner: Planner, recipe: Recipe, *, world: World) -> PlannedIndex:
    """Plan `sncp.collect`, `index.chunk` and `index.build`.

    Raises:
        InputError: the notes cannot be read.
        TerminalError: notes that must stay on this machine would leave it.
    """
    collection = world.read_notes(recipe)
    check_privacy(recipe, collection.documents)
    published = _published(planner.past, world.published(recipe.index))
    before = published.notes or _newest(planner.past)
    changes = compare_notes(sncp.read_documents(before) if before else None, collection.documents)

    notes = planner.plan(
        lambda: sncp.collect_spec(recipe.sncp, collection, local=recipe.privacy.local),
        words={"notes": changes.words()},
        write=lambda step: sncp.write_notes(step, collection),
    )
    planner.add(facts=changes.facts())

    model = ModelOfIndex(recipe.index, world)
    chunks = planner.plan(
        lambda notes: index.chunk_spec(recipe.index, notes=notes, leave_out_local=index_without_local(recipe)),
        write=lambda step: index.write_chunks(
            step,
            recipe.index,
            collection.documents,
            count_tokens=model.count_tokens,
            workspace=recipe.workspace,
            leave_out_local=index_without_local(recipe),
        ),
        notes=replace(notes, why=changes.counted()),
    )
    wanted = index.read_wanted(_there(chunks))
    planner.add(facts={"chunks": len(wanted)})
    questions, problems = _questions(recipe, wanted)
    built = _plan_build(
        planner, recipe, wanted, chunks=chunks, published=published, model=model, world=world, questions=questions
    )
    if planner.last.action == "run":
        problems += _refusals(
            recipe, wanted, published=published, model=model, past=planner.past, forced="index.build" in planner.force
        )
    return PlannedIndex(collection, changes, built, questions, tuple(problems))


def _there(made: Input) -> Artefact:
    assert made.artefact is not None  # noqa: S101 - of a pure step there always is one
    return made.artefact


def _plan_build(
    planner: Planner,
    recipe: Recipe,
    wanted: Wanted,
    *,
    chunks: Input,
    published: _Published,
    model: ModelOfIndex,
    world: World,
    questions: list[Question],
) -> Input:
    """The index is mutable: a sealed step is only skipped while what is published is what it said."""
    name = model.id or NO_EMBEDDER
    old = published.rows if published.embedder == name else Wanted(())
    before, after = old.hashes(name), wanted.hashes(name)
    changed = [key for key, value in after.items() if before.get(key) != value]
    rows = {
        "added": sum(key not in before for key in changed),
        "updated": sum(key in before for key in changed),
        "removed": sum(key not in after for key in before),
    }
    said = ", ".join(f"{count} {kind}" for kind, count in rows.items() if count) if len(old) else ""
    built = planner.plan(
        lambda chunks: index.build_spec(recipe.index, chunks=chunks),
        redo=lambda found: world.why_not_published(recipe.index, found),
        write=lambda step: index.write_index(step, wanted, embedder_id=name),
        chunks=replace(chunks, why=said),
    )
    planner.add(facts={"chunks": len(wanted)})
    if planner.last.action == "run":
        held = {chunk.embed_text for chunk in old.chunks(list(before))} if changed else set()
        texts = [chunk.embed_text for chunk in wanted.chunks(changed) if chunk.embed_text not in held]
        work = model.work(texts, role="passage")
        if changed or rows["removed"] or published.embedder != name:  # new rows are asked before they are published
            work += model.work([question.question for question in questions if question.answerable], role="query")
        planner.add(facts={"chunks": len(wanted), **rows}, work=work)
        world.publish(recipe.index, wanted.digest(name))
    return built


def _questions(recipe: Recipe, wanted: Wanted) -> tuple[list[Question], list[str]]:
    """The golden questions, and what is wrong with them. A reindex does without faulty ones."""
    if recipe.evaluate.golden is None:
        return [], []
    try:
        return load_golden(recipe.evaluate.golden, known_paths=wanted.paths), []
    except InputError as error:
        return [], [str(error)] if recipe.phase == "mvp" else []


def _refusals(
    recipe: Recipe, wanted: Wanted, *, published: _Published, model: ModelOfIndex, past: Past, forced: bool
) -> list[str]:
    """Why the index would refuse these rows, as far as it is known without asking it: a rollback, too many lost notes.

    Renamed notes count as lost here; the index looks at their texts.
    """
    uri = index.index_uri(recipe.index, workspace=recipe.workspace)
    try:
        live = read_published(uri)
    except TerminalError:
        return []

    def read(artefact_id: str) -> Wanted | None:
        found = past.open(*artefact_id.split("/", 1))
        return index.read_wanted(found) if found else None

    held = None if forced else held_back(live, wanted, embedder=model.id or NO_EMBEDDER, read=read)
    found = [held] if held else []
    if live is None or published.chunks is None or live.root not in (None, str(recipe.sncp.root)):
        return found
    before, share = published.rows.paths, recipe.index.max_removed_share
    missing = len(before - wanted.paths)
    if len(before) >= _SMALL and missing > share * len(before):
        found.append(
            f"{missing} of {len(before)} published notes would be gone from the index, more than "
            f"index.max_removed_share = {share:g} allows"
        )
    return found


def _published(past: Past, digest: str | None) -> _Published:
    built = past.built(digest) if digest else None
    if built is None:
        return _Published(digest)
    chunks = past.with_digest("index.chunk", str(built.manifest["inputs"]["chunks"]))
    notes = past.with_digest("sncp.collect", str(chunks.manifest["inputs"]["notes"])) if chunks else None
    return _Published(digest, built.read_json("index.json")["embedder"], notes, chunks)


def _newest(past: Past) -> Artefact | None:
    newest = next(iter(past.manifests("sncp.collect")), None)
    return past.open("sncp.collect", str(newest["fingerprint"])) if newest else None
