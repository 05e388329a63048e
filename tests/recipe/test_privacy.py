"""No sentence of a note that must stay here arrives anywhere else: asked of a server that keeps every byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.answer.steps import open_partner
from components.errors import TerminalError
from components.index import steps as index
from components.persona import steps as persona
from components.recipe.model import Recipe
from components.recipe.plan import plan_run
from components.recipe.privacy import check_notes, index_without_local, leaving, prompts_without_local
from components.sncp import steps as sncp
from components.store import Run
from tests.llm.heard import Heard

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*"),
    pytest.mark.filterwarnings("ignore:Item '.*' on TypedDict class"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
]
QUESTION = "Che cosa si conserva?"
MARKS = ("", "privacy: local", "privato: true", "privacy: [quasi", "privacy: boh", "glob", "twin", "public twin")


def sentence(number: int) -> str:
    return f"Si conserva la scatola numero {number} nel ripostiglio {number * 7} della casa"


class House:
    """Notes with marks, and a recipe whose models may be the server's."""

    def __init__(self, folder: Path, away: Heard, marks: list[str], **changes: Any) -> None:
        self.root = folder / "notes"
        (self.root / "chiuso").mkdir(parents=True)
        self.local = set()
        for number, mark in enumerate(marks):
            head = f"---\n{mark}\n---\n" if ":" in mark else ""
            name = f"chiuso/{number}.md" if mark == "glob" else f"{number}.md"
            text = f"{head}# Nota\n\n{sentence(number)}.\n"
            (self.root / name).write_text(text, encoding="utf-8")
            if mark == "twin":  # the same bytes where the glob reaches them
                (self.root / "chiuso" / f"twin{number}.md").write_text(text, encoding="utf-8")
            if mark == "public twin":  # the same paragraph in a note that says so
                (self.root / f"z{number}.md").write_text(f"---\nprivacy: local\n---\n{text}", encoding="utf-8")
            if mark:
                self.local.add(sentence(number))
        golden = '{"id": "q", "question": "Che cosa?", "lang": "it", "kind": "fact", "gold": []}\n'
        (folder / "golden.jsonl").write_text(golden, encoding="utf-8")
        self.public = {sentence(number) for number in range(len(marks))} - self.local
        remote = {"model": "openai/m", "api_base": away.url("0.0.0.0")}  # noqa: S104
        values = {
            "name": "casa", "phase": "mvp", "workspace": str(folder / "ws"),
            "sncp": {"root": str(self.root), "include": ["**/*.md"]},
            "index": {"embedding": {**remote, "dimensions": 2}, "search": {"k": 20}},
            "llm": {"chat": {**remote, "retries": 0}, "cache": False},
            "evaluate": {"golden": str(folder / "golden.jsonl")},
            "privacy": {"local": ["chiuso/**"], "when_remote": "leave_out"},
        }  # fmt: skip
        for key, value in changes.items():
            values[key] = value(remote) if callable(value) else value
        self.recipe = Recipe.model_validate(values)

    def index(self) -> int:
        """Read, cut, embed and publish, as the flows do; the chunks that were left out."""
        recipe = self.recipe
        run = Run.create(recipe.workspace, recipe=recipe.name, phase=recipe.phase)
        notes = sncp.collect_notes(run, recipe.sncp, persona_files=[], local=recipe.privacy.local)
        without = index_without_local(recipe)
        chunks = index.chunk_notes(run, recipe.index, notes=notes, leave_out_local=without)
        index.build_index(run, recipe.index, chunks=chunks, trusted_hosts=recipe.privacy.trusted_hosts)
        run.update(status="done")
        return int(chunks.facts.get("local_chunks_left_out", 0))

    def ask(self, *, leave_out: bool | None = None) -> Any:
        recipe = self.recipe
        found = sncp.read_notes(recipe.sncp, persona_files=[], local=recipe.privacy.local).documents
        texts = persona.persona_texts(recipe.persona, root=recipe.sncp.root, documents=found)
        prompt, session = persona.compile_texts(recipe.persona, texts)
        partner = open_partner(
            workspace=recipe.workspace, index=index.open_index(recipe.index, workspace=recipe.workspace),
            search=recipe.index.search, prompt=prompt, session=session, llm=recipe.llm, answer=recipe.answer,
            leave_out_local=prompts_without_local(recipe, asked=True) if leave_out is None else leave_out,
            trusted_hosts=recipe.privacy.trusted_hosts,
        )  # fmt: skip
        return partner.ask(QUESTION)


@pytest.fixture(scope="module")
def away() -> Iterator[Heard]:
    server = Heard()
    yield server
    server.close()


@pytest.fixture
def silent(away: Heard) -> Heard:
    away.bytes = b""
    return away


def here(_: Any) -> dict[str, Any]:
    return {"embedding": {"model": "fake/embedding"}, "search": {"k": 20}}


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    marks=st.lists(st.sampled_from(MARKS), min_size=2, max_size=6).filter(lambda marks: "" in marks),
    local=st.booleans(),
)
def test_left_out_is_never_sent(
    marks: list[str], local: bool, silent: Heard, tmp_path_factory: pytest.TempPathFactory
) -> None:
    silent.bytes = b""
    house = House(tmp_path_factory.mktemp("h"), silent, marks, **({"index": here} if local else {}))
    check_notes(house.recipe)
    plan_run(house.recipe)
    left = house.index()
    asked = house.ask()
    for said in house.local:
        assert said.encode() not in silent.bytes
        assert said.split(" nel ")[0].encode() + b" " not in silent.bytes
    for said in house.public:
        assert said.encode() in silent.bytes
    if local:  # found by search, and not given to the model
        assert left == 0
        assert asked.left_out >= len(house.local) > 0 or not house.local
        opened = index.open_index(house.recipe.index, workspace=house.recipe.workspace)
        assert house.local <= {hit.text.split("\n")[-1].removesuffix(".") for hit in opened.search(QUESTION, k=50)}
    else:
        assert left >= len(house.local)


@pytest.mark.parametrize("local_embedder", [True, False], ids=["remote chat", "remote embedder"])
def test_refused_before_anything_is_sent(silent: Heard, tmp_path: Path, local_embedder: bool) -> None:
    changes: dict[str, Any] = {"privacy": {"local": ["chiuso/**"]}}
    if local_embedder:
        changes["index"] = here
    house = House(tmp_path, silent, ["", "privacy: local", "glob"], **changes)
    for door in (check_notes, plan_run):
        with pytest.raises(TerminalError) as told:
            door(house.recipe)
        for word in ("2 local notes (1.md, chiuso/2.md)", "0.0.0.0", "privacy.when_remote: leave_out"):  # noqa: S104
            assert word in str(told.value)
    assert not silent.bytes


def test_the_doors_refuse_a_note_that_became_local_after_the_look(silent: Heard, tmp_path: Path) -> None:
    house = House(tmp_path, silent, ["", "privacy: local"], privacy={})
    with pytest.raises(TerminalError, match=r"openai/m is not on this machine .*1\.md must not leave it"):
        house.index()
    assert not silent.bytes
    (tmp_path / "two").mkdir()
    house = House(tmp_path / "two", silent, ["", "privacy: local"], privacy={}, index=here)
    house.index()
    with pytest.raises(TerminalError, match=r"openai/m is not on this machine .*1\.md must not leave it"):
        house.ask(leave_out=False)
    assert not silent.bytes


def test_a_persona_is_refused_and_a_session_is_left_out(silent: Heard, tmp_path: Path) -> None:
    def recipe(folder: str, mark: str) -> House:
        (tmp_path / folder).mkdir()
        house = House(tmp_path / folder, silent, [""], index=here)
        (house.root / "COSTITUZIONE.md").write_text(f"---\n{mark}\n---\n# Chi sei\n\nSei segreta.\n", encoding="utf-8")
        text = f"---\nprivacy: local\n---\n# Ripresa\n\n{sentence(99)}.\n"
        (house.root / "PROMPT_RIPRESA_casa.md").write_text(text, encoding="utf-8")
        who = {"constitution": str(house.root / "COSTITUZIONE.md"), "session": {}}
        house.recipe = Recipe.model_validate({**house.recipe.model_dump(mode="json"), "persona": who})
        return house

    local = recipe("a", "privacy: local")
    with pytest.raises(TerminalError, match=r"COSTITUZIONE\.md.* A persona cannot be left out"):
        check_notes(local.recipe)
    public = recipe("b", "privacy: public")
    check_notes(public.recipe)
    files = public.recipe.persona.files
    found = sncp.read_notes(public.recipe.sncp, persona_files=files).documents
    texts = persona.persona_texts(public.recipe.persona, root=public.root, documents=found)
    assert texts.local == ("PROMPT_RIPRESA_casa.md",)
    prompt, session = persona.compile_texts(public.recipe.persona, texts)
    assert session is not None and session.local and prompt.local_notes == ()
    public.index()
    partner = open_partner(
        workspace=public.recipe.workspace,
        index=index.open_index(public.recipe.index, workspace=public.recipe.workspace),
        search=public.recipe.index.search, prompt=prompt, session=session, llm=public.recipe.llm,
        answer=public.recipe.answer, leave_out_local=True,
    )  # fmt: skip
    partner.ask(QUESTION)
    assert b"scatola numero 0" in silent.bytes and b"scatola numero 99" not in silent.bytes


def test_what_records_a_run_counts_as_well(silent: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = {"chat": {"model": "fake/chat"}}
    house = House(tmp_path, silent, ["privacy: local"], index=here, llm=chat)
    assert not leaving(house.recipe)
    monkeypatch.setenv("PREFECT_API_URL", "https://prefect.example.org/api")
    assert set(leaving(house.recipe)) == {"PREFECT_API_URL"} and not leaving(house.recipe, asked=True)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    for uri, away in {
        "http://127.0.0.1:5000": False, "sqlite:////tmp/x.db": False, "/srv/mlruns": False,
        "https://mlflow.example.org": True, "databricks": True, "postgresql://db/x": True,
    }.items():  # fmt: skip
        values = house.recipe.model_dump(mode="json") | {"registry": {"tracking_uri": uri}}
        recipe = Recipe.model_validate(values)
        assert bool(leaving(recipe)) is away, uri
        assert prompts_without_local(recipe) is away


def test_trusted_host_and_loopback_are_here(silent: Heard, tmp_path: Path) -> None:
    values = {"local": ["chiuso/**"], "trusted_hosts": ["0.0.0.0"]}  # noqa: S104
    house = House(tmp_path, silent, ["", "privacy: local"], privacy=values)
    check_notes(house.recipe)
    assert house.index() == 0
    asked = house.ask()
    assert asked.left_out == 0
    assert sentence(1).encode() in silent.bytes
