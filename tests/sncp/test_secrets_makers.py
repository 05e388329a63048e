"""Keys of more than sixty makers, in every form that a note may give them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from secret_shapes import SHAPES, key  # noqa: E402

from components.sncp.redact import redact  # noqa: E402
from components.sncp.secret_prefixes import RULES  # noqa: E402

_FORMS = {
    "alone": "{}",
    "prose": "La chiave che uso è {}, non dirlo a nessuno.",
    "brackets": "(vedi {})",
    "bold": "**{}**",
    "table": "| Servizio | Valore | Stato |\n|---|---|---|\n| prova | {} | attivo |",
    "bullet": "- **chiave:** `{}`",
    "env": "```env\nPORTA=3000\nVALORE={}\n```",
    "export": '```bash\nexport VALORE="{}"\n```',
    "json": '```json\n{{"valore": "{}", "altro": 1}}\n```',
    "escaped": '{{"testo": "PORTA=3000\\n{}\\n"}}',
    "yaml": "```yaml\nvalore: {}\n```",
    "link": "[pannello](https://esempio.it/?k={})",
    "alt": "![schermata con {}](img.png)",
    "front matter": "---\nvalore: {}\n---\n# Titolo",
    "comment": "<!-- {} -->",
    "quote": "> {}",
    "after an encoded sign": "https://esempio.it/?q%3D{}",
}


def _secret(whole: str) -> str:
    """The part that nobody may see: of a URL, what stands behind the host; the last 16 characters are always in it."""
    return whole[8:40] if whole.startswith("https://") and "sentry" in whole else whole[-16:]


@pytest.mark.parametrize("name", SHAPES)
def test_key_is_masked_in_every_form(name: str) -> None:
    planted = key(name)
    for form, pattern in _FORMS.items():
        text = pattern.format(planted)
        masked, findings = redact(text, path="a.md")
        assert _secret(planted) not in masked, form
        assert masked.count("\n") == text.count("\n"), form
        assert all(planted[-8:] not in item.masked and planted[8:20] not in item.masked for item in findings), form
        line = next(at for at, row in enumerate(text.split("\n"), start=1) if planted in row)
        assert {item.line for item in findings} == {line}, form


@pytest.mark.parametrize("name", SHAPES)
def test_hardly_any_random_key_passes_as_a_placeholder(name: str) -> None:
    """Chance makes an `xxx` or four letters of `your` once in thousands of keys; then it is taken for an example."""
    missed = [seed for seed in range(200) if not redact(key(name, seed), path="a.md")[1]]
    assert len(missed) <= 2, missed


@pytest.mark.parametrize("name", SHAPES)
def test_key_with_words_in_its_place_is_a_placeholder(name: str) -> None:
    text = re.sub(r"\{\d+[a-zA-Z]\}", "your-key-here", SHAPES[name])
    assert redact(text, path="a.md") == (text, [])


def test_every_rule_has_a_mark_that_its_pattern_needs() -> None:
    """A rule is only tried where one of its marks stands: a mark that the pattern does not need would hide keys."""
    for rule in RULES:
        assert rule.marks and all(rule.marks), rule.name
        literal = rule.pattern.pattern.replace("\\", "")
        assert all(mark in literal or mark.split("Key=")[0] in literal for mark in rule.marks), rule.name


def test_a_key_longer_than_a_window_is_masked_whole() -> None:
    planted = key("supabase-service") + key("vault").replace("hvs.", "") * 200
    masked, _ = redact(f"prima {planted} dopo", path="a.md")
    assert len(planted) > 15_000 and planted[-16:] not in masked and planted[9_000:9_016] not in masked
