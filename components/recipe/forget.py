"""Forgetting a note or a secret: where a workspace holds it, taking it away, and looking again.

Everything that can be made again is removed (artefacts, rows, vectors, answers); what only records (MLflow, Prefect,
logs) keeps its rows and files with the words replaced. The documents of `sncp.collect` go last: they tell what the
words of a note are, so a forgetting that was killed is finished by the same command.

Not reached: copies outside the workspace (backups, what was brought from a bucket and older versions that it keeps, an
MLflow server elsewhere, a provider that was sent the text, bundles that were packed, an adapter that is served
elsewhere), a model's own wording of it in what was recorded, vectors of texts that no artefact remembers any more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from components.errors import CervellaError, InputError, TerminalError
from components.index.place import forget_copy, index_uri, mirror_of
from components.index.published import readable
from components.index.purge import forget_rows, indexed
from components.index.steps import read_chunks
from components.llm.counting import embedder_id, ids_of_engines
from components.llm.purge import count_answers, forget_answers, forget_vectors
from components.recipe.forget_trained import copies_of, trained_on
from components.recipe.model import Recipe
from components.registry.champion.record import Champion, champion_file, forget_words, read_champions
from components.serve.compare.purge import forget_compared
from components.serve.compare.records import comparisons_file
from components.sncp.globs import Glob
from components.sncp.steps import read_documents
from components.store import Artefact, FileLock, Store, hold, is_held, read_runs
from components.store.files import FORGOTTEN, delete_aside, remove_folder
from components.store.purge import Words, blot_database, blot_file, files_with, is_database
from components.store.runs import KEEP
from components.usage import usage_file
from components.usage.conversations import conversations_file, forget_conversations
from components.usage.purge import forget_paths

__all__ = [
    "AtWorkError", "Forgetting", "alone_in", "asking_in", "index_folders", "left_aside", "note_words", "notes_on_disk",
]  # fmt: skip

_COLLECT, _CHUNK, _BUILD = "sncp.collect", "index.chunk", "index.build"
_SHORT_PATH = 8  # characters: shorter ones stand in other words by chance


class AtWorkError(TerminalError):
    """A workspace is needed alone, and something is at work in it; when that has ended it may be had."""


@contextmanager
def asking_in(workspace: Path) -> Iterator[None]:
    """Keep forgetting and gc from beginning for the block, in which an answer may be kept; runs go on as they like.

    Where nothing may be written, or nothing is there yet, nothing is held.

    Raises:
        TerminalError: things are being removed from the workspace.
    """
    lock = None
    if workspace.is_dir():
        with suppress(OSError):
            (workspace / "locks").mkdir(exist_ok=True)
            lock = FileLock(workspace / "locks" / KEEP)
    try:
        if lock and not lock.try_shared():
            raise TerminalError(f"gc or forget is at work in {workspace}; ask again when it is done")
        yield
    finally:
        if lock:
            lock.close()


@contextmanager
def alone_in(workspace: Path, what: str, *, beside_prefect: bool = False) -> Iterator[None]:
    """Keep runs and questions from beginning for the block.

    `beside_prefect`: a Prefect server may be up, because nothing of what it has is touched.

    Raises:
        AtWorkError: a run is at work, a question is being answered, somebody else is alone, or a Prefect server of the
            workspace is up.
        TerminalError: the file system has no locks.
    """
    keep, others = workspace / "locks" / KEEP, list[str]()
    _refuse_beside_runs(workspace, what)  # first without the lock: while it is held, no question is answered
    with ExitStack() as held:
        try:
            held.enter_context(hold(keep, what=what, timeout_seconds=2, waiting=others.append))
        except TerminalError as error:
            if not others:  # no locks here
                raise
            if is_held(keep):  # somebody else is alone
                raise AtWorkError(str(error)) from None
            raise AtWorkError(
                f"a question is being answered in {workspace} (ask, score); {what} when that has ended"
            ) from None
        _refuse_beside_runs(workspace, what)
        if not beside_prefect and is_held(workspace / "prefect" / "server.lock"):
            raise AtWorkError(
                f"a Prefect server is at work in {workspace}; end it (`cervella down`, if `cervella up` started it), "
                f"then {what}"
            )
        yield


def _refuse_beside_runs(workspace: Path, what: str) -> None:
    running = [state["run"] for state in read_runs(workspace) if state["status"] == "running"]
    if running:
        raise AtWorkError(f"run {running[0]} is at work in {workspace}; {what} when it has ended")


def index_folders(recipe: Recipe) -> list[Path]:
    """Folders of the recipe's index and of those of its matrix, as far as they are there and written here."""
    folder = recipe.workspace / "matrix"
    own = [uri for uri in sorted(folder.iterdir()) if not uri.name.startswith(".")] if folder.is_dir() else []
    here = [] if recipe.index.read_from else [index_uri(recipe.index, workspace=recipe.workspace)]
    return [uri for uri in dict.fromkeys([*here, *own]) if uri.is_dir()]


def left_aside(recipe: Recipe) -> list[Path]:
    """Folders that a removal has set aside, which was killed or is deleting them now."""
    workspace = recipe.workspace
    named = [workspace / name for name in ("matrix", "runs", "scratch")]
    homes = [*sorted((workspace / "store").glob("*")), *named, *index_folders(recipe)]
    found = [path for home in homes for path in sorted(home.glob(f".*{FORGOTTEN}"))]
    return [path for path in found if path.is_dir() and not path.is_symlink()]


def searched_folders(recipe: Recipe) -> list[Path]:
    """These, and what was brought of an index that is in a bucket."""
    return list(dict.fromkeys([*index_folders(recipe), index_uri(recipe.index, workspace=recipe.workspace)]))


def notes_on_disk(root: Path, globs: Sequence[Glob], *, leave_out: Path) -> list[Path]:
    """Files below the root that a glob matches."""
    files = [file for file in sorted(root.rglob("*")) if file.is_file() and not file.is_relative_to(leave_out)]
    return [file for file in files if any(glob.matches(file.relative_to(root).as_posix()) for glob in globs)]


def note_words(recipe: Recipe, notes: Sequence[str]) -> tuple[Words, frozenset[str]]:
    """Words of the notes that these globs name, and their paths.

    Raises:
        InputError: nobody knows such a note, or another note has the same text.
    """
    workspace, globs = recipe.workspace, [Glob.parse(text) for text in notes]

    def named(path: str) -> bool:
        return any(glob.matches(path) for glob in globs)

    texts: set[str] = set()
    paths: set[str] = set()
    others: dict[str, str] = {}
    newest = _newest(workspace)
    for artefact in Store(workspace).newest(_COLLECT):
        for document in read_documents(artefact):
            if any(map(named, document.paths)):
                twins = [path for path in document.paths if not named(path)]
                if twins and artefact.id in newest:
                    raise InputError(f"{twins[0]} has the very text of {document.path}: name both, or change one")
                texts.add(document.text)
                paths.update(filter(named, document.paths))
            elif artefact.id in newest:
                others[document.path] = document.text
    for row in (row for uri in searched_folders(recipe) for row in indexed(uri)):
        if any(map(named, row["paths"])):
            texts.add(row["text"])
            paths.update(filter(named, row["paths"]))
    for file in notes_on_disk(recipe.sncp.root, globs, leave_out=workspace):
        texts.add(file.read_bytes().decode("utf-8", "replace"))
        paths.add(file.relative_to(recipe.sncp.root).as_posix())
    if not paths:
        raise InputError(
            f"no note is called {', '.join(notes)}, neither in {recipe.sncp.root} nor in what {workspace} remembers; "
            "expected paths relative to sncp.root, or globs"
        )
    words = Words.of_notes(texts, others=others.values())
    for path in paths:
        words |= Words(tuple(  # `note`: what an example was made from
            f'"{key}": {json.dumps(path, ensure_ascii=ascii_only)}'.encode()
            for key in ("path", "note") for ascii_only in (True, False)
        ))  # fmt: skip
        if len(path) >= _SHORT_PATH and not any(path in text for text in others.values()):
            words |= Words((path.encode(),))
    return words, frozenset(paths)


def _newest(workspace: Path) -> set[str]:
    """Ids of the notes that the newest run of each recipe read."""
    found: dict[str, str] = {}
    for state in read_runs(workspace):  # newest first
        for step in state["steps"]:
            if step["name"] == _COLLECT and step.get("artefact"):
                found.setdefault(state["recipe"], step["artefact"])
    latest = Store(workspace).latest(_COLLECT)
    return {*found.values(), *([latest.id] if latest else [])}


@dataclass
class Forgetting:
    """What a workspace holds of some words, and taking it away.

    Attributes:
        recipe: names workspace and index.
        words: to be forgotten.
        paths: of notes that are to be forgotten whole; none for a secret.
    """

    recipe: Recipe
    words: Words
    paths: frozenset[str] = frozenset()
    rows: dict[Path, list[dict[str, Any]]] = field(init=False)
    texts: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.workspace = self.recipe.workspace
        self.indexes = index_folders(self.recipe)
        searched = searched_folders(self.recipe)
        self.rows = {uri: [row for row in indexed(uri) if self.holds(row)] for uri in searched}
        self.texts = {row["embed_text"] for rows in self.rows.values() for row in rows}
        for artefact in Store(self.workspace).newest(_CHUNK):
            for chunk in read_chunks(artefact):
                if self.paths.intersection(chunk.paths) or self.words.in_text(chunk.embed_text):
                    self.texts.add(chunk.embed_text)

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of the index is to go."""
        said = [value for value in row.values() if isinstance(value, str)]
        return bool(self.paths.intersection(row["paths"])) or any(map(self.words.in_text, said + list(row["heading"])))

    @cached_property
    def embedders(self) -> set[str]:
        """Ids of every embedder that a sealed index, or one in a history, was made with, and of the recipe's."""
        told = {str(built.read_json("index.json")["embedder"]) for built in Store(self.workspace).newest(_BUILD)}
        for published in filter(None, map(readable, self.rows)):
            told.update(entry.embedder for entry in published.history)
        params = self.recipe.index.embedding.model_dump(include={"model", "dimensions", "api_base"})
        with suppress(CervellaError):  # it cannot be loaded here
            told.add(embedder_id(**params, guess=True) or "")
        return {name for one in told for name in ids_of_engines(one)}

    def files(self) -> list[Path]:
        """Files that hold the words, those of indexes aside."""
        return list(files_with(self.words, self.workspace, leave_out=self.indexes))

    def folder_of(self, path: Path) -> Path | None:
        """The artefact, run or scratch folder that is removed for a file; none: the file is mended."""
        parts = path.relative_to(self.workspace).parts
        depth = {"store": 3, "scratch": 2, "runs": 2}.get(parts[0], 0)
        return self.workspace.joinpath(*parts[:depth]) if depth and len(parts) > depth else None

    def _folders(self) -> set[Path]:
        return {folder for path in self.files() if (folder := self.folder_of(path))}

    def trained(self) -> list[Artefact]:
        """Trainings, and releases with what was trained, that hang on an artefact which goes; no byte says so."""
        folders = self._folders()
        return [one for one in trained_on(self.workspace, folders) if one.path not in folders]

    def champions(self) -> dict[str, Champion]:
        """Releases in service that go: registered model -> champion. None where the file of champions is damaged."""
        folders = self._folders()
        gone = {*folders, *(one.path for one in trained_on(self.workspace, folders))}
        try:
            champions = read_champions(self.workspace)
        except TerminalError:
            return {}
        now = {name: history[-1] for name, history in champions.items()}
        return {name: one for name, one in now.items() if self.workspace / "store" / one.release in gone}

    def found(self) -> dict[str, int]:
        """Where it is, for people: place -> how many files, rows or values."""
        places: dict[str, int] = {}
        places |= {f"index: {uri} (rows)": len(rows) for uri, rows in self.rows.items() if rows}
        if self.recipe.index.copy_to and any(self.rows.values()):
            places[f"copy of the index: {self.recipe.index.copy_to}"] = 1
        cache = self.workspace / "cache"
        vectors = forget_vectors(cache / "embeddings.sqlite", embedders=self.embedders, texts=self.texts, do=False)
        if vectors:
            places[f"vectors: {cache / 'embeddings.sqlite'}"] = vectors
        answers = count_answers(cache / "responses.sqlite") if self.paths else 0
        if answers:
            places[f"answers: {cache / 'responses.sqlite'} (all of them)"] = answers
        asked = usage_file(self.workspace)
        if named := forget_paths(asked, self.paths, do=False):
            places[f"usage: {asked} (questions that it was a source of)"] = named
        talked = conversations_file(self.workspace)
        if turns := forget_conversations(talked, self.paths, do=False):
            places[f"conversations: {talked} (turns that it was a source of, and those after them)"] = turns
        compared = comparisons_file(self.workspace)
        if named := forget_compared(compared, self.paths, do=False):
            places[f"comparisons: {compared} (answers that it was a source of)"] = named
        for path in self.files():
            folder = self.folder_of(path)
            place = f"{folder.parent.name}: {folder}" if folder else f"file: {_main_file(path)}"
            places[place] = places.get(place, 0) + 1
        trained = self.trained()
        places |= {f"trained on it: {one.path}": len(one.manifest["outputs"]) for one in trained}
        places |= {f"a copy of what was trained on it: {path}": 1 for path in copies_of(self.workspace, trained)}
        return places

    def forget(self) -> None:
        """Take it away. Doing it again after a crash finishes it.

        Raises:
            TerminalError: a database is in use; the index is being written; the bucket with its copy refuses.
            TransientError: that bucket cannot be reached. Then all but the copy is done.
        """
        cache = self.workspace / "cache"
        for path in left_aside(self.recipe):  # as a whole: nothing could look into its tables
            delete_aside(path)
        if address := self.recipe.index.read_from:
            mirror_of(address, workspace=self.workspace).remove()
        forget_vectors(cache / "embeddings.sqlite", embedders=self.embedders, texts=self.texts, do=True)
        forget_paths(usage_file(self.workspace), self.paths, do=True)
        forget_conversations(conversations_file(self.workspace), self.paths, do=True)
        forget_compared(comparisons_file(self.workspace), self.paths, do=True)
        answers = cache / "responses.sqlite"
        forget_answers(answers, words=self.words, everything=bool(self.paths))
        trained = self.trained()  # first: what they hang on tells of them
        for path in copies_of(self.workspace, trained):
            path.unlink()
        for artefact in trained:
            remove_folder(artefact.path)
        folders: set[Path] = set()
        files: set[Path] = set()
        for path in self.files():
            folder = self.folder_of(path)
            if folder:
                folders.add(folder)
            elif path != answers:
                files.add(_main_file(path))
        for path in sorted(files):
            if ".corrupt-" in path.name:
                path.unlink()
            elif is_database(path):
                blot_database(self.words, path)
            elif path == champion_file(self.workspace):
                forget_words(self.workspace, self.words)
            elif path.exists():
                blot_file(self.words, path)
        for uri in self.indexes:
            forget_rows(uri, holds=self.holds)
        for folder in sorted(folders, key=lambda folder: (folder.parent.name == _COLLECT, folder)):
            remove_folder(folder)
        trusted = self.recipe.privacy.trusted_hosts
        forget_copy(self.recipe.index, workspace=self.workspace, trusted_hosts=trusted)

    def labels(self) -> int:
        """Lines of `evaluate.judge.labels` that hold it: a file of the user's, which nothing is taken out of."""
        file = self.recipe.evaluate.judge.labels
        if file is None or not file.is_file():
            return 0
        paths = [json.dumps(path, ensure_ascii=plain).encode() for path in self.paths for plain in (True, False)]
        return sum(
            self.words.in_bytes(line) or any(path in line for path in paths)
            for line in file.read_bytes().splitlines()
        )  # fmt: skip

    def on_disk(self) -> list[str]:
        """Notes that still say it: their paths, for a secret with the line."""
        root = self.recipe.sncp.root
        if self.paths:
            return sorted(path for path in self.paths if (root / path).is_file())
        found = []
        for path in files_with(self.words, root, leave_out=[self.workspace]):
            for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
                if self.words.in_bytes(line):
                    found.append(f"{path.relative_to(root).as_posix()}:{number}")
        return found

    def left(self) -> list[str]:
        """Where the words still are, searched anew in every byte of every file and every row."""
        found = [str(path) for path in files_with(self.words, self.workspace)]
        for uri in self.indexes:
            if not uri.is_relative_to(self.workspace):
                found += [str(path) for path in files_with(self.words, uri)]
            found += [f"{uri}: {row['path']}" for row in indexed(uri) if self.holds(row)]
        return found


def _main_file(path: Path) -> Path:
    """The database that a log file beside it belongs to."""
    for ending in ("-wal", "-shm", "-journal"):
        if path.name.endswith(ending):
            return path.with_name(path.name.removesuffix(ending))
    return path
