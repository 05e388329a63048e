"""Which sections of a persona come first: the recipe's word, then one table."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence

from components.errors import InputError

__all__ = ["DEFAULT_PRIORITY", "DEFAULT_TABLE", "assign_priorities", "unused_priorities"]

DEFAULT_PRIORITY = 50
"""Of a section that nothing else gives a priority to. 0 goes in first, 100 last."""

DEFAULT_TABLE: tuple[tuple[int, str, tuple[str, ...]], ...] = (
    # Stories first in the table, although last in the prompt: "esempi di tono" is an example before it is a tone.
    (90, "stories and examples", (
        "esempio", "esempi", "example", "examples", "storia", "storie", "story", "stories", "history", "aneddoti",
        "da dove vengo", "conquiste", "momenti", "ricordi", "citazioni", "changelog",
    )),
    (0, "identity", (
        "identita", "identity", "chi sono", "chi sei", "chi siamo", "who i am", "who you are", "who we are",
        "system prompt", "da copiare",
    )),
    (10, "rules", (
        "regola", "regole", "rule", "rules", "mai", "sempre", "never", "always", "inviolabile", "inviolabili",
        "divieti", "limiti", "obblighi", "confini", "boundaries",
    )),
    (20, "values", (
        "valore", "valori", "value", "values", "principio", "principi", "principle", "principles", "perche", "why",
        "missione", "mission", "obiettivo", "filosofia", "philosophy", "impegno", "bussola",
    )),
    (30, "voice", (
        "come parlo", "come parli", "come parliamo", "tono", "tone", "voce", "voice", "stile", "style", "linguaggio",
        "parole", "how i speak", "how we speak",
    )),
    (35, "way of thinking", (
        "come penso", "come pensi", "come ragiono", "metodo", "method", "how i think", "ti fermi",
    )),
    (40, "roles", (
        "ruolo", "ruoli", "role", "roles", "famiglia", "family", "membri", "squadra", "team", "regina", "guardiane",
        "worker", "workers", "architect",
    )),
    (60, "processes", (
        "processo", "processi", "process", "processes", "procedura", "procedure", "workflow", "flusso", "output",
        "comandi", "commands", "script", "capacita",
    )),
    (80, "upkeep", ("note", "notes", "implementazione", "implementation", "appendice", "test")),
)  # fmt: skip
"""(priority, what it is, words of a heading), whole words without accents; the first row that matches decides."""


def assign_priorities(
    headings: Sequence[tuple[str, tuple[int, ...]]], *, titles: Collection[int], priorities: Mapping[str, int]
) -> list[tuple[int, str]]:
    """(priority, why) of each heading, given as (text, positions of its parents).

    The recipe decides before the table, a heading before its parents: a nested section without a word of its own
    follows the nearest heading above it. Of several keys of the recipe in one heading the longest decides. Positions
    in `titles` are titles of whole documents: the table's word on them is not passed on ("DNA di famiglia" does not
    make a role of everything in it), the recipe's is.

    Raises:
        InputError: a priority outside 0 to 100, or an empty key.
    """
    for key, value in priorities.items():
        if not key.strip() or not 0 <= value <= 100:
            raise InputError(
                f"persona.priorities: {key!r}: {value} is not a part of a heading with a priority from 0 (first in) "
                "to 100 (last in); for example 'storie: 90'"
            )
    recipe = [_of_recipe(text, priorities) for text, _ in headings]
    table = [_of_table(text) for text, _ in headings]
    found = []
    for position, (_, parents) in enumerate(headings):
        above = list(reversed(parents))
        ranks = (
            [recipe[p] for p in (position, *above)] + [table[position]] + [table[p] for p in above if p not in titles]
        )
        found.append(next((rank for rank in ranks if rank is not None), (DEFAULT_PRIORITY, "default")))
    return found


def unused_priorities(headings: Sequence[str], *, priorities: Mapping[str, int]) -> list[str]:
    """Keys of the recipe that are part of no heading, most likely misspelt."""
    return [key for key in priorities if not any(_plain(key) in _plain(heading) for heading in headings)]


def _of_recipe(heading: str, priorities: Mapping[str, int]) -> tuple[int, str] | None:
    matching = [key for key in priorities if _plain(key) in _plain(heading)]
    if not matching:
        return None
    key = min(matching, key=lambda key: (-len(key), key))
    return priorities[key], f'recipe: "{key}"'


def _of_table(heading: str) -> tuple[int, str] | None:
    words = " ".join(["", *re.findall(r"[^\W_]+", _plain(heading)), ""])
    for priority, label, phrases in DEFAULT_TABLE:
        if any(f" {phrase} " in words for phrase in phrases):
            return priority, label
    return None


def _plain(text: str) -> str:
    """Without case and accents, so that IDENTITÀ, Identita' and identita are one word."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c)).strip()
