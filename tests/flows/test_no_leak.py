"""No credential leaves the notes: one real run over notes with a key in every place, then every byte is searched.

Each place has a key of its own, so that a leak names the place that it came from. What the notes say beside the keys
has to be found, or the search would prove nothing.
"""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.services import prefect_server

sys.path.insert(0, str(Path(__file__).parent.parent / "sncp"))

from secret_shapes import key  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_PASSWORD = "Mira" + "collo2026x"  # in a table, whose head alone says what it is
_IBAN = "IT60 X054 2811 1010 0000 0123 456"
_FISCAL = "RSSMRA80A01H501U"

KEYS = {
    "prose": key("anthropic"),
    "fence": key("openai-project"),
    "table": key("github-personal"),
    "link": key("slack-bot"),
    "alt": key("gitlab"),
    "tag": key("npm"),
    "matter": key("stripe"),
    "title": key("groq"),
    "heading": key("notion"),
    "comment": key("hugging-face"),
    "two lines": key("pypi"),
    "hidden": key("linear"),
    "file name": key("databricks"),
    "folder": key("figma"),
    "constitution": key("shopify"),
    "dna": key("sendgrid"),
    "session": key("google-api"),
    "gone": key("brevo"),
    "golden question": key("replicate"),
    "golden answer": key("pinecone"),
    "golden fault": key("vault"),
    "asked": key("xai"),
    "searched": key("perplexity"),
    "quarantined": key("postman"),
}
_MARK = "Brezzafiorita"  # stands beside the keys, and must come through


def _plant(notes: Path, persona: Path) -> None:
    two = KEYS["two lines"]
    hidden = f"{KEYS['hidden'][:20]}\u200b{KEYS['hidden'][20:]}"
    encoded = base64.b64encode(f"chiave={KEYS['gone']}".encode()).decode()
    decisions = notes / ".sncp" / "memoria" / "decisioni"
    (decisions / "20260520_CHIAVI.md").write_text(
        f"---\ntitle: Chiavi {KEYS['title']}\nproject: {KEYS['matter']}\ntags: [{KEYS['tag']}, due]\n"
        f"sostituisce: {KEYS['matter']}\n---\n"
        f"# {_MARK} {KEYS['heading']}\n\nLa chiave è {KEYS['prose']}, {_MARK} dice.\n\n"
        f"```bash\nexport X={KEYS['fence']}\n```\n\n| Servizio | Password | Nota |\n|---|---|---|\n"
        f"| pms | {_PASSWORD} | {KEYS['table']} |\n\n[pannello](https://x.it/?k={KEYS['link']})\n"
        f"![{KEYS['alt']}](a.png)\n<!-- {KEYS['comment']} -->\n\n"
        f"```yaml\nchiave: >-\n  {two[:60]}\n  {two[60:]}\n```\n\n"
        f"{hidden}\n\n`{encoded}`\n\nIBAN {_IBAN}, CF {_FISCAL}, tel. 333 1234567, anna@locanda.it\n",
        encoding="utf-8",
    )
    (decisions / f"{KEYS['file name']}.md").write_text("# Chiave nel nome\n\nqui niente\n", encoding="utf-8")
    folder = decisions / KEYS["folder"]
    folder.mkdir()
    (folder / "a.md").write_text("# Nella cartella\n\nqui niente\n", encoding="utf-8")
    (folder / "b.md").write_bytes(b"\0binary")
    for file, name in ((persona / "COSTITUZIONE.md", "constitution"), (persona / "DNA_FAMIGLIA.md", "dna")):
        text = file.read_text(encoding="utf-8")
        file.write_text(f"{text}\n## Regola {KEYS[name]}\n\nMai dire {KEYS[name]}, {_MARK}.\n", encoding="utf-8")
    for resume in notes.glob(".sncp/**/PROMPT_RIPRESA*.md"):  # one of them becomes the session context
        head, _, rest = resume.read_text(encoding="utf-8").partition("\n")
        resume.write_text(f"{head}\n\nToken di oggi: {KEYS['session']} ({_MARK})\n{rest}", encoding="utf-8")


@dataclass(frozen=True)
class Leaky:
    """A workspace after runs over such notes, and all that was printed."""

    path: Path
    printed: dict[str, Any]


@pytest.fixture(scope="module")
def leaky(program: Any, new_workspace: Callable[..., Any], examples: Path) -> Leaky:
    # The chat double says the last message again: whatever reaches the prompt reaches answers, caches and MLflow.
    doubles = ("-o", "index.embedding.model=fake/embedding", "-o", "llm.chat.model=fake/chat?mode=echo")
    workspace = new_workspace(golden=2, doubles=doubles, first=False)
    home = workspace.path.parent
    persona = home / "persona"
    shutil.copytree(examples / "persona", persona)
    _plant(workspace.notes, persona)
    golden = home / "golden.jsonl"
    question = {
        "id": "segreta", "question": f"Dove si usa {KEYS['golden question']}?", "lang": "it", "kind": "fact",
        "gold": ["NORD.md"], "evidence": f"x {KEYS['golden answer']}", "answer": f"Qui: {KEYS['golden answer']}",
    }  # fmt: skip
    golden.write_text(f"{golden.read_text(encoding='utf-8')}{json.dumps(question)}\n", encoding="utf-8")
    options = (
        *workspace.options, "-o", f"persona.constitution={persona / 'COSTITUZIONE.md'}",
        "-o", f"persona.dna={persona / 'DNA_FAMIGLIA.md'}", "-o", "persona.max_tokens=6000", "-o", "evaluate.answers=3",
        "-o", "llm.chat.max_tokens=5000",
        "-o", "persona.session.max_tokens=600",
        "-o", "sncp.redact.personal_data=[codice_fiscale, iban, phone, email]",
    )  # fmt: skip
    printed = {"plan": program("plan", "mvp", *options)}
    bad = home / "bad.jsonl"
    bad.write_text(json.dumps(question | {"gold": [f"{KEYS['golden fault']}.md"]}), encoding="utf-8")
    with prefect_server(workspace=workspace.path):
        printed["run"] = program("run", "mvp", *options)
        printed["ask"] = program("ask", "mvp", f"Cosa apre la chiave {KEYS['asked']} di {_MARK}?", *options)
        printed["search"] = program("search", "mvp", f"{KEYS['searched']} {_MARK}", *options, "--json")
        printed["fault"] = program("run", "mvp", *options, "-o", f"evaluate.golden={bad}")
        (workspace.notes / "NORD.md").write_text(f"# NORD\n\n{KEYS['quarantined']}\n", encoding="utf-8")
        printed["quarantine"] = program("reindex", "mvp", *options, "-o", "sncp.redact.mode=quarantine")
    return Leaky(workspace.path, printed)


def _texts(workspace: Path) -> Iterator[tuple[str, bytes]]:
    """Every file as it is, and tables as text: a page or a codec may cut or squeeze a value."""
    for file in sorted(workspace.rglob("*")):
        name = file.relative_to(workspace).as_posix()
        yield f"name of {name}", name.encode()
        if not file.is_file():
            continue
        data = file.read_bytes()
        yield name, data
        if data.startswith(b"SQLite format 3\0"):
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
                yield f"{name} as SQL", "\n".join(connection.iterdump()).encode()
    import lancedb

    database = lancedb.connect(workspace / "index")
    for name in database.list_tables().tables:
        table = database.open_table(name)
        for version in [found["version"] for found in table.list_versions()]:
            table.checkout(version)
            yield f"table {name} version {version}", json.dumps(table.to_arrow().to_pylist(), default=str).encode()


@pytest.fixture(scope="module")
def texts(leaky: Leaky) -> list[tuple[str, bytes]]:
    return list(_texts(leaky.path))


def _parts(secret: str) -> list[bytes]:
    """Pieces of a secret that give it away: also a part of it, in plain, and in base64 wherever it begins."""
    pieces = [secret[at : at + 14] for at in (len(secret) - 14, len(secret) // 2 - 7)]
    encoded = [base64.b64encode(b"x" * before + secret.encode())[8:24] for before in range(3)]
    return [piece.encode() for piece in pieces] + encoded


@pytest.mark.parametrize("place", KEYS)
def test_no_file_of_the_workspace_holds_the_key(texts: list[tuple[str, bytes]], place: str) -> None:
    parts = _parts(KEYS[place])
    assert [where for where, data in texts if any(part in data for part in parts)] == []


@pytest.mark.parametrize("value", [_PASSWORD, _IBAN, _FISCAL, "333 1234567", "anna@locanda.it"])
def test_no_file_of_the_workspace_holds_the_password_or_personal_data(
    texts: list[tuple[str, bytes]], value: str
) -> None:
    assert [where for where, data in texts if value.encode() in data] == []


def test_nothing_printed_holds_a_key(leaky: Leaky) -> None:
    for command, done in leaky.printed.items():
        for place, secret in KEYS.items():
            assert not any(part.decode() in done.out + done.err for part in _parts(secret)), (command, place)


def test_what_stands_beside_the_keys_came_through(leaky: Leaky, texts: list[tuple[str, bytes]]) -> None:
    """Or the search for the keys would find nothing in any case."""
    found = {where.split("/")[0].split(" ")[0] for where, data in texts if _MARK.encode() in data}
    assert {"store", "index", "table", "mlflow"} <= found
    (prompt,) = {data for where, data in texts if where.endswith("prompt.md") and _MARK.encode() in data}
    assert b"[REDACTED:shopify-token]" in prompt and b"[REDACTED:sendgrid-key]" in prompt
    sessions = [data for where, data in texts if where.endswith("session.json")]
    assert any(b"[REDACTED:google-api-key]" in data for data in sessions)
    questions = [data for where, data in texts if where.startswith("store/") and where.endswith("golden.jsonl")]
    assert questions and all(b"[REDACTED:replicate-token]" in data for data in questions)


def test_findings_are_told_by_file_and_line(leaky: Leaky, texts: list[tuple[str, bytes]]) -> None:
    shown = leaky.printed["run"].err
    assert "secrets or personal data found:" in shown and "more: " in shown
    assert ".sncp/memoria/decisioni/20260520_CHIAVI.md:2  groq-key  gsk_…(56)" in shown
    assert "notes left out for them:" in shown and "[REDACTED:databricks-token].md  its path holds a secret" in shown
    assert "(xai-key: 1)" in leaky.printed["ask"].err
    rows = [data for where, data in texts if where.startswith("prefect/") and where.endswith("as SQL")]
    assert any(b"20260520_CHIAVI.md:2" in data and b"gsk_" in data for data in rows)


def test_quarantined_note_is_left_out_and_told(leaky: Leaky) -> None:
    shown = leaky.printed["quarantine"].err
    assert ".sncp/memoria/decisioni/20260520_CHIAVI.md  quarantined: groq-key in line 2, stripe-key in line 3" in shown
    reports = [json.loads(file.read_text(encoding="utf-8")) for file in leaky.path.rglob("sncp.collect/*/report.json")]
    told = {item["path"]: item["reason"] for report in reports for item in report["skipped"]}
    assert told["NORD.md"].startswith("quarantined: postman-key in line 3; ")
