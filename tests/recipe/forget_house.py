"""A workspace with notes that shall be forgotten: their words are in every place where a workspace may hold words."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from components.index import steps as index
from components.llm.cache import CacheFile
from components.persona import steps as persona
from components.recipe.forget import Forgetting, note_words
from components.recipe.load import to_yaml
from components.recipe.model import Recipe
from components.sncp import steps as sncp
from components.store import Run
from components.store.purge import Words

__all__ = ["KEPT", "SECRET", "WORDS", "House"]

WORDS = "Il cassetto di sinistra contiene il contratto della casa e la chiave piccola"
KEPT = "La portineria apre alle otto e chiude alle venti nei giorni feriali"
SECRET = 'pa"ss\\wörd-zz9'


class House:
    """A workspace whose notes were read, cut, embedded and published, with everything beside that may hold words."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "notes"
        self.root.mkdir()
        (self.root / "casa.md").write_text(f"# Casa\n\n{WORDS}.\n\n## Altro\n\nQuattro sedie.\n", encoding="utf-8")
        (self.root / "orari.md").write_text(f"# Orari\n\n{KEPT}.\n", encoding="utf-8")
        (self.root / "voce.md").write_text(f"# Voce\n\nSi entra con {SECRET} dal retro.\n", encoding="utf-8")
        self.workspace = folder / "ws"
        self.recipe = Recipe.model_validate({
            "name": "casa", "phase": "reindex", "workspace": str(self.workspace),
            "sncp": {"root": str(self.root), "include": ["*.md"]},
            "index": {"embedding": {"model": "fake/embedding"}},
        })  # fmt: skip
        self.run = self.index()
        self.scatter()

    def index(self) -> Run:
        recipe = self.recipe
        run = Run.create(self.workspace, recipe=recipe.name, phase=recipe.phase)
        notes = sncp.collect_notes(run, recipe.sncp, persona_files=[])
        chunks = index.chunk_notes(run, recipe.index, notes=notes)
        index.build_index(run, recipe.index, chunks=chunks, root=self.root)
        persona.compile_persona(run, recipe.persona, root=self.root, documents=sncp.read_documents(notes))
        run.update(status="done")
        return run

    def freeze(self, run: Run, recipe: Recipe | None = None) -> None:
        """Keep with a run the recipe that it used."""
        values = (recipe or self.recipe).model_dump(mode="json", exclude={"extends"})
        (run.folder / "recipe.yaml").write_text(to_yaml(values), encoding="utf-8")

    def scatter(self) -> None:
        """What Prefect, MLflow, logs, caches and a killed step may hold."""
        for name in ("mlflow/mlflow.db", "prefect/prefect.db"):
            path = self.workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, message TEXT, data BLOB)")
            connection.execute("CREATE TABLE params (key TEXT, value TEXT, PRIMARY KEY (key)) WITHOUT ROWID")
            for text in (WORDS, SECRET, KEPT):
                twice = json.dumps({"data": json.dumps({"text": text})})
                connection.execute("INSERT INTO log (message, data) VALUES (?, ?)", (f"said {text}.", text.encode()))
                connection.execute("INSERT INTO params VALUES (?, ?)", (text[:10], twice))
            connection.commit()
            connection.execute("PRAGMA secure_delete=OFF")
            connection.execute("DELETE FROM log WHERE id = 1")  # what is deleted is still in the file
            connection.commit()
            connection.close()
        cache = CacheFile(self.workspace / "cache" / "responses.sqlite")
        for number, text in enumerate((WORDS, SECRET, KEPT)):
            cache.put({str(number): json.dumps({"text": text}).encode()})
        cache.close()
        for name, text in {
            "prefect/server.log": f"one\n{WORDS}\n{SECRET}\ntwo\n",
            "mlflow/artifacts/1/questions.json": json.dumps([WORDS, SECRET, KEPT], ensure_ascii=False),
            "scratch/abc/half.jsonl": json.dumps(WORDS) + json.dumps(SECRET),
            "store/index.chunk/.0123.x/chunks.jsonl": json.dumps(WORDS) + json.dumps(SECRET),
            "cache/responses.sqlite.corrupt-1": WORDS + SECRET,
        }.items():
            path = self.workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.run.update(error=f"{WORDS} {SECRET}")

    def everything(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.workspace.rglob("*")) if path.is_file())

    def found(self, question: str) -> list[str]:
        opened = index.open_index(self.recipe.index, workspace=self.workspace)
        return [hit.path for hit in opened.search(question, k=9)]

    def vectors(self) -> int:
        with sqlite3.connect(self.workspace / "cache" / "embeddings.sqlite") as connection:
            count: int = connection.execute("SELECT count(*) FROM cache").fetchone()[0]
        connection.close()
        return count

    def forgetting(self, *notes: str, secret: str = "") -> Forgetting:
        if secret:
            return Forgetting(self.recipe, Words.of_secret(secret))
        return Forgetting(self.recipe, *note_words(self.recipe, notes))
