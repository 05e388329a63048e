"""The plan of the notes and their index: which notes changed, which chunks, which texts have to be embedded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property

from components.errors import InputError, TerminalError
from components.evaluate import Question, load_golden
from components.index import NO_EMBEDDER
from components.index import steps as index
from components.index.published import Publication, Published
from components.index.rollback import held_back
from components.index.wanted import Wanted
from components.recipe.model import Recipe
from components.recipe.plan_ahead import CutByTwo
from components.recipe.plan_notes import NoteChanges, compare_notes
from components.recipe.plan_past import Past
from components.recipe.plan_steps import Input, Planner
from components.recipe.plan_world import ModelOfIndex, World
from components.recipe.privacy import check_privacy, index_without_local
from components.sncp import Collection
from components.sncp import steps as sncp
from components.store import Artefact

__all__ = ["Golden", "PlannedIndex", "newest_notes", "plan_index"]

_SMALL = 10  # notes: below this number the index lets any share vanish


class Golden:
    """The golden questions, read only when somebody asks for them, and what is wrong with them."""

    def __init__(self, recipe: Recipe, wanted: Callable[[], Wanted]) -> None:
        self._recipe, self._wanted = recipe, wanted

    @cached_property
    def _read(self) -> tuple[list[Question], list[str]]:
        if self._recipe.evaluate.golden is None:
            return [], []
        try:
            return load_golden(self._recipe.evaluate.golden, known_paths=self._wanted().paths), []
        except InputError as error:  # a reindex does without faulty questions
            return [], [str(error)] if self._recipe.phase == "mvp" else []

    @property
    def questions(self) -> list[Question]:
        """All of them; none when they are faulty."""
        return self._read[0]

    @property
    def problems(self) -> list[str]:
        """What is wrong with them."""
        return self._read[1]


@dataclass(frozen=True)
class PlannedIndex:
    """What is known ahead of time of notes and index; the golden questions; why the run would stop."""

    collection: Collection
    notes: NoteChanges
    built: Input
    golden: Golden
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Published:
    """What is published now, and what the store still knows of how it came about."""

    past: Past
    live: Published | None

    @cached_property
    def notes(self) -> Artefact | None:
        """The notes that it was made of."""
        chunks = self._chunks(self.live.now) if self.live else None
        return self.past.with_digest("sncp.collect", str(chunks.manifest["inputs"]["notes"])) if chunks else None

    def rows(self, embedder: str | None = None) -> Wanted | None:
        """The rows that are published, or those that the table of another embedder still holds; None: not known."""
        if self.live is None:
            return None
        held = [self.live.now] if embedder is None else self.live.history
        for publication in reversed(held):
            if embedder is None or publication.embedder == embedder:
                there = publication.table in {self.live.now.table, *self.live.generations}
                chunks = self._chunks(publication) if there else None
                return _rows_of(chunks)
        return None

    def _chunks(self, publication: Publication) -> Artefact | None:
        step, _, fingerprint = (publication.chunks_id or "").partition("/")
        return self.past.open(step, fingerprint) if fingerprint else None


def _rows_of(chunks: Artefact | None) -> Wanted | None:
    """The rows that a sealed `index.chunk` asks for; None: it is gone, or an older version of the code made it."""
    try:
        return index.read_wanted(chunks) if chunks else None
    except TerminalError:
        return None


def plan_index(planner: Planner, recipe: Recipe, *, world: World) -> PlannedIndex:
    """Plan `sncp.collect`, `index.chunk` and `index.build`.

    Raises:
        InputError: the notes cannot be read.
        TerminalError: notes that must stay on this machine would leave it.
    """
    collection = world.read_notes(recipe)
    check_privacy(recipe, collection.documents)
    published = _Published(planner.past, world.live(recipe.index))
    before = published.notes or newest_notes(planner.past)
    changes = compare_notes(sncp.read_documents(before) if before else None, collection.documents)

    model = ModelOfIndex(recipe.index, world)
    ahead = _cut_ahead(planner.past, recipe, collection, model, world=world)
    notes = planner.plan(
        lambda: sncp.collect_spec(recipe.sncp, collection, local=recipe.privacy.local),
        words={"notes": changes.words()},
        write=lambda step: sncp.write_notes(step, collection),
    )
    planner.add(facts=changes.facts())

    chunks = planner.plan(
        lambda notes: index.chunk_spec(recipe.index, notes=notes, leave_out_local=index_without_local(recipe)),
        write=lambda step: index.write_chunks(
            step,
            recipe.index,
            collection.documents,
            count_tokens=model.count_tokens,
            workspace=recipe.workspace,
            leave_out_local=index_without_local(recipe),
            ahead=ahead.get if ahead else dict,
        ),
        notes=replace(notes, why=changes.counted()),
    )
    if ahead:
        model.counted |= ahead.counted
    wanted = cache(lambda: index.read_wanted(_there(chunks)))
    planner.add(facts={"chunks": planner.last.facts.get("chunks") or len(wanted())})
    golden = Golden(recipe, wanted)
    spec = index.build_spec(recipe.index, chunks=str(chunks.digest))
    if world.is_done(planner, recipe.index, spec):
        built = planner.plan(lambda chunks: spec, chunks=chunks)
        planner.add(facts={"chunks": planner.last.facts.get("chunks")})
        return PlannedIndex(collection, changes, built, golden, ())
    built = _plan_build(
        planner, recipe, wanted(), chunks=chunks, published=published, model=model, world=world, golden=golden
    )
    problems = _refusals(recipe, wanted(), published=published, model=model, planner=planner)
    return PlannedIndex(collection, changes, built, golden, tuple(problems))


def _cut_ahead(
    past: Past, recipe: Recipe, collection: Collection, model: ModelOfIndex, *, world: World
) -> CutByTwo | None:
    """Begin to cut the notes, where no chunks of any notes were ever made with these settings."""
    spec = index.chunk_spec(recipe.index, notes="", leave_out_local=index_without_local(recipe))
    if any((old["version"], old["params"]) == (spec.version, spec.params) for old in past.manifests(spec.name)):
        return None
    chunk, key = recipe.index.chunk, (id(collection), spec.fingerprint)
    return world.shared(
        key,
        lambda: CutByTwo(
            collection.documents,
            max_tokens=chunk.max_tokens,
            breadcrumbs=chunk.breadcrumbs,
            count_tokens=model.count_tokens,
        ),
    )


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
    golden: Golden,
) -> Input:
    """The index is mutable: a sealed step is only skipped while what is published is what it said."""
    name = model.id or NO_EMBEDDER
    old = published.rows(name) or Wanted.of_chunks(())
    before, after = old.hashes, wanted.hashes
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
    if built.why and said:
        built = replace(built, why=f"chunks: {said}")  # shorter than the whole reason
    if planner.last.action == "run":
        held = set(old.texts.values())
        unknown = [key for key in changed if wanted.texts[key] not in held]
        texts = [chunk.embed_text for chunk in wanted.chunks(unknown)]
        work = model.work(texts, role="passage")
        is_new = published.live is None or published.live.now.embedder != name
        if changed or rows["removed"] or is_new:  # rows are asked before they are published
            work += model.work(
                [question.question for question in golden.questions if question.answerable], role="query"
            )
        planner.add(facts={"chunks": len(wanted), **rows}, work=work)
        world.publish(recipe.index, wanted.digest(name))
    return built


def _refusals(
    recipe: Recipe, wanted: Wanted, *, published: _Published, model: ModelOfIndex, planner: Planner
) -> list[str]:
    """Why the index would refuse these rows, as far as it is known without asking it: a rollback, too many lost notes.

    Not known here: whether a note whose path is gone is there under another name.
    """
    if published.live is None:
        return []

    def read(artefact_id: str) -> Wanted | None:
        step, _, fingerprint = artefact_id.partition("/")
        found = planner.past.open(step, fingerprint)
        return _rows_of(found)

    found = []
    if "index.build" not in planner.force:
        held = held_back(published.live, wanted, embedder=model.id or NO_EMBEDDER, read=read)
        found = [held] if held else []
    rows = published.rows()
    if rows is None or published.live.root not in (None, str(recipe.sncp.root)):
        return found
    share, missing = recipe.index.max_removed_share, len(rows.paths - wanted.paths)
    if len(rows.paths) >= _SMALL and missing > share * len(rows.paths):
        found.append(
            f"{missing} of {len(rows.paths)} published notes would be gone from the index, more than "
            f"index.max_removed_share = {share:g} allows"
        )
    return found


def newest_notes(past: Past) -> Artefact | None:
    """The last collecting of any notes in this workspace."""
    newest = next(iter(past.manifests("sncp.collect")), None)
    return past.open("sncp.collect", str(newest["fingerprint"])) if newest else None
