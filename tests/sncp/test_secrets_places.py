"""Secrets that only their place gives away: a table's head, a login, two lines, another encoding, a maker's name."""

from __future__ import annotations

import base64
import random
import string
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from secret_shapes import key  # noqa: E402

from components.errors import InputError  # noqa: E402
from components.sncp import Collection  # noqa: E402
from components.sncp.redact import redact, redact_names  # noqa: E402
from components.sncp.report import findings_rows, findings_text, report_markdown  # noqa: E402

_ALNUM = string.ascii_letters + string.digits


def _random(length: int, letters: str = _ALNUM, seed: int = 0) -> str:
    chance = random.Random(f"{length}{letters}{seed}")  # noqa: S311 - it must be the same in each run
    return "".join(chance.choice(letters) for _ in range(length))


_PASSWORD = "Mira" + "collo2026"


@pytest.mark.parametrize(
    "text",
    [
        "| Servizio | Utente | Password |\n|---|---|---|\n| booking | rafa | {} |\n| altro | anna | `{}` |",
        "Servizio | Password\n--- | ---\nbooking | {}",
        "> | Cosa | Pwd |\n> |:--|--:|\n> | wifi | **{}** |",
        "| Nome | Credenziali di accesso |\n| --- | --- |\n| pms | {} |",
        "credenziali: admin / {}",
        "**Credenziali:** `admin` / `{}`",
        "login: mario@hotel.it / {}",
        "Accesso FTP: hotel | {}",
        "wifi: Ospiti / {}",
        "utente/password: admin/{}",
        "- user: admin, password: {}",
        "password:\n  {}",
        "db:\n  password: >-\n    {}\n  host: x",
        'PASSWORD=\\\n"{}"',
        "psw: {}",
    ],
)
def test_password_is_masked_where_only_its_place_tells(text: str) -> None:
    whole = text.replace("{}", _PASSWORD)
    masked, findings = redact(whole, path="a.md")
    assert _PASSWORD not in masked
    assert masked.count("\n") == whole.count("\n")
    assert [item.line for item in findings] == [at for at, row in enumerate(whole.split("\n"), 1) if _PASSWORD in row]


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "API-KEY", "apiKey", "x-api-key", "chiave api", "chiave segreta", "codice segreto", "client_secret",
        "clientSecret", "access token", "refreshToken", "AUTH_TOKEN", "service_api", "bot token", "webhook-secret",
        "secret", "segreto", "token", "credentials", "SECRET_ACCESS_KEY", "private key id", "PGPASSWORD", "passphrase",
        "DB_PASS", "psw", "parola d'ordine", "parola chiave", "signingKey", "id_token", "encryption key",
    ],
)  # fmt: skip
def test_every_telling_word_tells(name: str) -> None:
    value = _random(32)
    assert value not in redact(f"{name}: {value}", path="a.md")[0]
    assert value not in redact(f'  "{name}": "{value}",', path="a.md")[0]


def test_columns_of_tokens_and_pins_are_masked() -> None:
    token = _random(32)
    text = f"| Sito | API key | PIN |\n|---|---|---|\n| a | {token} | 4711 |\n| b | da creare | — |\n\n| PIN | 1234 |"
    masked, findings = redact(text, path="a.md")
    assert token not in masked and "4711" not in masked
    assert [item.rule for item in findings] == ["table-secret", "table-secret"]


@pytest.mark.parametrize(
    "text",
    [
        "| Campo | Password |\n|---|---|\n| minima | 8 caratteri |\n| stato | obbligatoria |\n| hash | bcrypt |",
        "| Modello | Token |\n|---|---|\n| haiku | 1.250.000 |\n| sonnet | 200k |",
        "| File | Secret |\n|---|---|\n| a | `TEST_FASE6_AI.md` |\n| b | process.env.X |",
        "| Password |\n|---|\n\nMiracollo2026 fuori dalla tabella",
        "login: POST /api/v1/login2",
        "Accesso: 24/7, 365 giorni",
        "admin: rafa / cervella",
        "scputimes(user=1.5, nice=0.0, system=0.5)",
        "user: claude-3 / sonnet-4-5-20250929",
        "account: v1.2/v1.3beta",
        "token:\n  totali: 1500",
        "La password:\n- minimo 8 caratteri",
        "secret:\nnessuno",
        "Pass `allow_file_access=True` to it",
        "connect(user='user', password='password')",
        "servizio://APIToken:FromEmail/ e ringc://Phone:Password@ClientID",
        "twilio: 3f9a8b7c",
        "`aGVsbG8gd29ybGQgY29tZSBzdGFpPw==`",  # ciao, in base64
        "https://esempio.it/?next=https%3A%2F%2Fesempio.it%2Fpagina",
    ],
)  # fmt: skip
def test_what_only_stands_in_such_a_place_is_left_alone(text: str) -> None:
    assert redact(text, path="a.md") == (text, [])


@pytest.mark.parametrize("name", ["anthropic", "github-fine-grained", "stripe-restricted", "pypi"])
@pytest.mark.parametrize("cut", [12, 24, 40])
@pytest.mark.parametrize(
    "text",
    ["chiave: >-\n  {}\n  {}\nfine", "> {}\n> {}\n", 'export K="{}\\\n{}"\n', "| {}\n| {}\n", "qui {}\n{}\n"],
    ids=["yaml", "quote", "shell", "bars", "wrap"],
)
def test_key_over_two_lines_is_masked_on_both(name: str, cut: int, text: str) -> None:
    whole = key(name)
    written = text.replace("{}", whole[:cut], 1).replace("{}", whole[cut:], 1)
    masked, findings = redact(written, path="a.md")
    assert whole[cut:][-16:] not in masked and whole[cut - 6 : cut] not in masked
    assert masked.count("\n") == written.count("\n")
    assert findings[0].line == 1 + written[: written.index(whole[:cut])].count("\n")


@pytest.mark.parametrize("form", ["{}", "data: {}", "Authorization: Basic {}", "`echo {} | base64 -d`", "[x](y?z={})"])
@pytest.mark.parametrize("plain", ["KEY", "admin:PASS", "x=KEY\n"])
def test_base64_of_a_secret_is_masked(plain: str, form: str) -> None:
    hidden = plain.replace("KEY", key("github-personal")).replace("PASS", "S3gr3t!x9")
    code = base64.b64encode(hidden.encode()).decode()
    masked, findings = redact(form.replace("{}", code), path="a.md")
    assert code[4:-4] not in masked and findings


def test_url_in_a_url_is_looked_at_decoded() -> None:
    code = quote("postgres://anna:S3gr3t!x9@db.local/x", safe="")
    masked, findings = redact(f"https://esempio.it/?dsn={code}&x=1", path="a.md")
    assert "S3gr3t" not in masked and masked.startswith("https://esempio.it/?dsn=") and len(findings) == 1


@pytest.mark.parametrize(
    ("word", "length", "letters"),
    [
        ("AWS secret access key", 40, _ALNUM + "+/"), ("Twilio", 32, "0123456789abcdef"),
        ("Cloudflare", 40, _ALNUM + "-_"), ("VERCEL_TOKEN", 24, _ALNUM), ("NETLIFY_AUTH_TOKEN", 43, _ALNUM + "-_"),
        ("DD_API_KEY", 32, "0123456789abcdef"),
    ],
)  # fmt: skip
def test_key_without_a_shape_is_masked_near_its_makers_name(word: str, length: int, letters: str) -> None:
    secret = "E" + _random(length - 1, letters) if "e" not in letters or letters[0] != "0" else _random(length, letters)
    near, far = f"# {word}\n\nvale {secret}.\n", f"# {word}\n" + "\n" * 9 + f"vale {secret}.\n"
    assert secret not in redact(near, path="a.md")[0]
    assert secret in redact(far, path="a.md")[0]


def test_allowed_findings_stay() -> None:
    one, other = key("github-personal"), key("groq")
    text = f"{one} e {other}"
    assert redact(text, path="a.md", allow=[one])[0] == f"{one} e [REDACTED:groq-key]"
    assert redact(text, path="a.md", allow=["ghp_*"])[0] == f"{one} e [REDACTED:groq-key]"
    assert redact(text, path="a.md", allow=["ghp_"])[0].startswith("[REDACTED")


def test_names_are_looked_at_together() -> None:
    planted = key("hugging-face")
    names = ["a.md", f"note/{planted}.md", "NORD.md", "password_reset_2026.md", f"{planted}/x.md"]
    assert redact_names(names) == {
        names[1]: ("note/[REDACTED:huggingface-token].md", "huggingface-token"),
        names[4]: ("[REDACTED:huggingface-token]/x.md", "huggingface-token"),
    }


def test_note_whose_path_holds_a_secret_is_left_out_and_told_masked(
    notes: Callable[..., Path], read: Callable[..., Collection]
) -> None:
    planted = key("gitlab")
    root = notes({f"chiavi/{planted}.md": "# A\nx\n", "b.md": "# B\n"})
    collection = read(root)
    assert [document.path for document in collection.documents] == ["b.md"]
    (skipped,) = collection.skipped
    assert skipped.path == "chiavi/[REDACTED:gitlab-token].md" and "rename it" in skipped.reason
    assert planted not in str(collection.to_dict()) and planted not in str(collection.report())


def test_report_tells_places_and_never_what_stands_there(
    notes: Callable[..., Path], read: Callable[..., Collection]
) -> None:
    planted = [key("npm", seed) for seed in range(8)]
    root = notes({"a.md": "# A\n" + "\n".join(planted), f"{key('figma')}.md": "# B\n"})
    report = read(root).report()
    shown, told = report_markdown(report), findings_text(report, where="HERE") or ""
    assert "- masked: npm-token 8" in shown and "| a.md | 9 | npm-token | npm_…(40) |" in shown
    assert told.split("\n")[:2] == ["8 secrets or personal data found:", "  a.md:2  npm-token  npm_…(40)"]
    assert "  and 3 more: HERE" in told
    assert "1 notes left out for them:\n  [REDACTED:figma-token].md  its path holds a secret" in told
    assert findings_rows(report)[7] == {"place": "a.md:9", "rule": "npm-token", "masked": "npm_…(40)"}
    everything = shown + told + str(findings_rows(report))
    assert not any(secret[4:20] in everything for secret in planted)
    clean = Collection(documents=()).report()
    assert findings_text(clean, where="HERE") is None and findings_rows(clean) == []


def test_nothing_to_take_is_told_without_the_secret(
    notes: Callable[..., Path], read: Callable[..., Collection]
) -> None:
    root = notes({"x.txt": "x"})
    (root / f"{key('npm')}.md").symlink_to("/etc/hostname")
    with pytest.raises(InputError) as error:
        read(root)
    assert key("npm")[4:20] not in str(error.value)


def test_lines_are_those_of_the_file(notes: Callable[..., Path], read: Callable[..., Collection]) -> None:
    planted = key("npm")
    body = f"\ufeff---\r\ntitle: x\r\n---\r\n<!-- a\r\nb -->\r\n\r\nuno\rdue {planted}\r\n"
    (finding,) = read(notes({"a.md": body.encode()})).findings
    assert (finding.path, finding.line) == ("a.md", 8)


@pytest.mark.parametrize("letter", list('a1 |\n"=:.%-_`/+@#'))
def test_a_megabyte_of_one_kind_are_read_to_the_end(letter: str) -> None:
    planted = key("groq")
    text = f"{(letter + 'x' + letter) * 300_000} {planted}"
    assert planted not in redact(text, path="a.md", personal_data=["iban", "card", "phone", "email"])[0]
