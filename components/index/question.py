"""The words of a question that say what it is about, and whether it asks for the present or for the past.

Full-text search weighs each word by how rare it is in the notes; the words that make a sentence a question
("quale", "abbiamo", "what", "does") are rare in notes and say nothing, so they are left out. Italian and English,
because questions come in both.
"""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["Tense", "content_words", "tense"]

Tense = Literal["present", "past"]

_LONGEST = 400  # words; a longer question is searched by its first ones

_ITALIAN = """
    a abbia abbiamo ad adesso agli ai al all alla alle allo anche ancora avere avete aveva avevano avevo avuto c
    che chi ci coi col come con contro cos cosa cui d da dagli dai dal dall dalla dalle dallo degli dei del dell
    della delle dello deve devo di dobbiamo dopo dov dove e ebbe ed era erano eri essere fa facciamo faccio fai
    fanno fare fatto fra fu furono già gli ha hai hanno ho i il in io l la le lei li lo loro lui ma mi mia mie
    miei mio ne negli nei nel nell nella nelle nello noi non nostra nostre nostri nostro o oggi ora per perche
    perché piu più poi possiamo posso prima puo può qual quale quali quando quanta quante quanti quanto quella
    quelle quelli quello questa queste questi questo sarà se secondo sei serve serviva si sia siamo siano siete
    sono sta stai stanno stata state stati stato stiamo sto su sua sue sugli sui sul sull sulla sulle sullo suo
    suoi ti tra tu tua tue tuo tuoi tutta tutte tutti tutto un una uno vi voi vostra vostre vostri vostro è
"""
_ENGLISH = """
    a about above after again against all am an and any are at be been before being below between both but by
    can could did do does doing don down during each few for from further had has have having he her here hers
    herself him himself his how i if in into is it its itself just may me might more most must my no nor not now
    of off on once one only or other our ours out over own s same she should so some such t than that the their
    them then there these they this those through to too under up us very was we were what when where which who
    whom why will with would you your
"""
_STOP = frozenset(_ITALIAN.split()) | frozenset(_ENGLISH.split())
_WORD = re.compile(r"\w+")


def content_words(question: str) -> str:
    """The question's words without function words, in order; all of its words when nothing else is left.

    Empty for a question without a letter or digit. Only letters, digits and underscores come through, so nothing
    of it can be taken for query syntax.
    """
    words = _WORD.findall(question)[:_LONGEST]
    return " ".join([word for word in words if word.lower() not in _STOP] or words)


_PRESENT = re.compile(
    r"""(?ix)\b(?: oggi | adesso | attual(?:e|i|mente) | tuttora | ancora | (?:in\ questo|al|per\ il)\ momento
    | (?<!che\ )(?<!a\ )(?<!un')(?<!di\ )ora(?=\W*$|\s+(?:si|è|usiamo|abbiamo|vale|in\ vigore)\b)
    | in\ vigore | vigente | (?:ultim[ao]|pi[uù]\ recente)\s+(?:versione|decisione|regola|stato|valore)
    | now | today | current(?:ly)? | nowadays | still | latest | in\ force | at\ the\ moment )\b"""
)
_THING = r"(?:versione|regola|decisione|limite|piano|prezzo|valore)"
_THING_EN = r"(?:version|rule|decision|limit|plan|price|value)"
_PAST = re.compile(
    rf"""(?ix)\b(?: in\ passato | una\ volta | a\ quei\ tempi | all['’]inizio | inizialmente | originariamente
    | in\ origine | precedentemente | com['’]er(?:a|ano) | (?:che|che\ cosa|cosa|qual)\ era | che\ cos['’]era
    | prima\ (?:di|del|dell|della|che|era|si)\b | {_THING}\ (?:precedente|vecchi[ao]|superat[ao]|di\ prima)
    | vecchi[ao]\ {_THING} | used\ to | original(?:ly)? | previous(?:ly)? | formerly | at\ first | in\ the\ past
    | back\ then | (?:old|former)\ {_THING_EN} )"""
)


def tense(question: str) -> Tense | None:
    """Whether the question asks for what holds ("oggi", "still") or what held ("com'era", "originally"); None: neither.

    Words for the present count more: "A gennaio erano 16, quanti sono adesso?" asks for the present. Not caught: verbs
    alone ("quanto costava?"), dates.
    """
    text = question[: 10 * _LONGEST]
    if _PRESENT.search(text):
        return "present"
    return "past" if _PAST.search(text) else None
