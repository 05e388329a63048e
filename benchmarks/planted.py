"""Clean conversations made from a few sentences, and the same with one fault planted: for tests and benchmarks."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from benchmarks.reindex import WORDS

__all__ = ["FAULTS", "Fault", "clean_rows", "planted"]

Row = dict[str, Any]

_WHO = "Agnese Tullio Nino Bianca Ersilia Martella Lucerna Staccia".split()
_WHAT = (
    "la caparra di agosto", "il calendario delle camere", "la lettera agli ospiti", "il forno del paese",
    "la prova dei rimborsi", "la pagina delle tariffe", "il quaderno delle ricette", "la potatura degli olivi",
    "il contratto della lavanderia", "la chiave del magazzino", "la stufa della camera sette", "il menu di giugno",
)  # fmt: skip
_WHEN = "lunedì martedì mercoledì giovedì venerdì sabato domenica".split()
_WHY = (
    "perché il numero di prenotazioni era cambiato", "dopo una sera di discussione in cucina",
    "per non ripetere l'errore dell'anno scorso", "su proposta di chi la usa ogni giorno",
    "quando il fornitore ha alzato il prezzo", "finché non arriva una nota che dica altro",
    "con una prova di due settimane prima di decidere", "senza toccare ciò che già funziona",
)  # fmt: skip
_MORE = (
    "La nota lo dice nella seconda riga e non lascia dubbi.", "Se cambia, lo trovi scritto nello stato del giorno.",
    "Non è una regola eterna: si ricontrolla fra un mese.", "Chi era presente ha firmato in fondo alla pagina.",
    "Ho confrontato due note e vale la più recente.", "La cifra esatta sta nella tabella in fondo.",
    "Di questo si era già parlato in primavera.", "Rimane aperta una domanda sulle spese di viaggio.",
)  # fmt: skip


def clean_rows(count: int, *, seed: int = 13, exchanges: int = 1, sentences: int = 3) -> Iterator[Row]:
    """Conversations in which nothing is wrong, each other than the rest.

    Args:
        count: how many.
        seed: another seed, other conversations.
        exchanges: questions and answers of each.
        sentences: of each answer.
    """
    chance = random.Random(seed)
    for number in range(count):
        turns = []
        for _ in range(exchanges):
            who, what, when = chance.choice(_WHO), chance.choice(_WHAT), chance.choice(_WHEN)
            about = _words(chance, 4)
            turns.append({"from": "human", "value": f"Che cosa ha deciso {who} {when} per {what}, {about}?"})
            said = [
                f"{chance.choice(_WHO)} ha scelto {_words(chance, 6)} {chance.choice(_WHEN)} {chance.choice(_WHY)}, e "
                f"{_words(chance, 5)}. {chance.choice(_MORE)}"
                for _ in range(sentences)
            ]
            turns.append({"from": "gpt", "value": f"Di {about}: " + " ".join(said)})
        yield {"id": f"r{number:06d}", "conversations": turns}


def _words(chance: random.Random, count: int) -> str:
    return " ".join(chance.choices(WORDS, k=count))


class Fault(NamedTuple):
    """A fault and the rules that may name it. `plant` changes a row; `line` makes the line, where that is no JSON."""

    name: str
    rules: tuple[str, ...]
    plant: Callable[[Row], Row]
    line: Callable[[str], str] = lambda text: text


def _with(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Row], Row]:
    def plant(row: Row) -> Row:
        change(row["conversations"])
        return row

    return plant


def _without(key: str) -> Callable[[Row], Row]:
    return lambda row: {name: value for name, value in row.items() if name != key}


def _answer(text: str) -> Callable[[Row], Row]:
    return _with(lambda turns: turns[1].update(value=text))


# Keys of no one: put together here, so that no scanner takes this file for a leak.
_KEYS = f"La chiave è sk-ant-{'api03-'}{'Zq7RkT2mVx9LpW4nYb8HcJ3dFg6sAu1e' * 2}Q-wA e l'altra ghp_{'x7Kd9' * 7}a."

FAULTS: tuple[Fault, ...] = (
    Fault("empty answer", ("C1",), _answer("")),
    Fault("no answer at all", ("B11", "B9"), _with(lambda turns: turns.pop(1))),
    Fault("two questions in a row", ("B10",), _with(lambda turns: turns.insert(0, dict(turns[0], value="E poi?")))),
    Fault("unknown role", ("B6",), _with(lambda turns: turns[1].update({"from": "bot"}))),
    Fault(
        "system turn in the middle", ("B7",),
        _with(lambda turns: turns.insert(1, {"from": "system", "value": "Sei un'altra persona."})),
    ),
    Fault("exact duplicate", ("E1",), lambda row: row, lambda text: f"{text}\n{text}"),
    Fault("value null", ("B5",), _with(lambda turns: turns[1].update(value=None))),
    Fault("conversations missing", ("B1",), _without("conversations")),
    Fault("API keys", ("F1",), _answer(_KEYS)),
    Fault("codice fiscale and IBAN", ("F2",), _answer(
        "Il codice è RSSMRA85T10A562S e il conto IT60X0542811101000000123456, come dice la nota."
    )),
    Fault("begins with the answer", ("B8",), _with(lambda turns: turns.insert(0, dict(turns[1])))),
    Fault("ends with a question", ("B9",), _with(lambda turns: turns.append({"from": "human", "value": "E poi?"}))),
    Fault("mojibake", ("C4",), _answer("La cittÃ\xa0 Ã¨ lontana, perÃ² ci si arriva piÃ¹ in fretta col treno.")),
    Fault("answer in Spanish", ("E6",), _answer(
        "La decisión se tomó el lunes porque el número de reservas había cambiado y no queríamos repetir el error."
    )),
    Fault("broken JSON", ("A1",), lambda row: row, lambda text: text[:-3]),
)  # fmt: skip
"""What a rival was seen to miss half of, and what belongs to it: the two halves of `value null` are two faults here."""


def planted(fault: Fault, *, among: int = 540, at: int = 270, seed: int = 13) -> tuple[str, int]:
    """(JSONL of `among` conversations, one of them with the fault; its line from 1)."""
    lines = []
    for number, row in enumerate(clean_rows(among, seed=seed)):
        made = fault.plant(row) if number == at else row
        text = json.dumps(made, ensure_ascii=False)
        lines.append(fault.line(text) if number == at else text)
    return "\n".join(lines) + "\n", at + (2 if fault.name == "exact duplicate" else 1)
