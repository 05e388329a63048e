"""Which language a text is in, told by its script and its commonest words; and rule E6: answers in another one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from components.dataset.checks.glance import FENCE, Look, glance
from components.dataset.conversation import Conversation
from components.dataset.findings import Hit

__all__ = ["language_hits", "language_of", "language_of_answers", "languages_of"]

_COMMON = {
    "it": "il lo gli le un una di del della dello dei degli delle al allo alla alle dal dalla dai dalle nel "
    "nella nei nelle sul sulla sui sulle che è e ed non per con sono siamo sei ho hai ha abbiamo hanno "
    "era erano ma anche come più questo questa questi queste quello quella perché cosa quando dove quale "
    "quali quanto se ci si mi ti tra fra già così quindi poi ogni dopo prima ancora solo molto fare fatto "
    "deve puoi può posso vuoi suo sua tuo tua mio mia ecco grazie ciao oggi stato essere però oppure "
    "senza cui dell nell all dall sull c'è io te lui lei noi voi loro chi stata fa va sta poco meglio",
    "en": "the of and to is are was were that this these those it with for from not be been have has had we you "
    "they he she our your their his her its what when where which who why how an by as at or but there "
    "will would can could should i i'm you're it's don't if then than into about just please me my do "
    "does did so all any some more on in",
    "es": "el los las un una de del al y que en es por para con no se lo su sus más como pero qué está están "
    "son fue muy este esta estos estas eso esa porque cuando donde dónde cómo hay ya si sí mi tu te le "
    "les nos desde hasta sobre entre también ser tiene tengo puede puedo hemos ha sido hola gracias usted",
    "fr": "le la les un une des du de au aux et est sont dans pour que qui ne pas avec sur ce cette ces cet il "
    "elle nous vous ils elles je tu mais ou où par plus comme être avoir a été son sa ses leur votre "
    "notre mon c'est d'un d'une n'est j'ai qu'il très bonjour merci aussi fait",
    "de": "der die das den dem des ein eine einen einem einer und ist sind war nicht mit für auf von zu im in "
    "am es ich du er sie wir ihr sich auch als an aus bei nach wie was wenn dass oder aber kann können "
    "haben hat wird werden noch nur mehr sehr hier bitte danke ja nein",
    "pt": "o os as um uma do da dos das no na nos nas e que em é por para com não se seu sua mais como mas está "
    "são foi muito este esta isso essa porque quando onde há já você eu ele ela também ser tem pode ao à "
    "até olá obrigado obrigada pelo pela",
    "nl": "de het een en van is zijn was niet met voor op te dat die dit deze in ik je jij hij zij wij we u ook "
    "als aan uit bij naar hoe wat wanneer of maar kan kunnen hebben heeft wordt worden nog meer zeer hier "
    "om er",
}
"""Function words, as `str.split` gives them, without signs at their edges."""
_LANGUAGES = tuple(_COMMON)
_BITS = 8
_WORDS_THAT_TELL = (1 << _BITS) - 1
"""So many of the first words tell a text's language; a field holds no more."""
_MOST_CHARS = 4_000

_SCRIPTS: tuple[tuple[str, str], ...] = (
    ("ja", "[\u3040-\u30ff]"),
    ("ko", "[\uac00-\ud7a3\u1100-\u11ff]"),
    ("zh", "[\u3400-\u9fff\uf900-\ufaff]"),
    ("ru", "[\u0400-\u04ff]"),
    ("ar", "[\u0600-\u06ff\u0750-\u077f]"),
    ("he", "[\u0590-\u05ff]"),
    ("el", "[\u0370-\u03ff]"),
    ("hi", "[\u0900-\u097f]"),
    ("th", "[\u0e00-\u0e7f]"),
)
_SCRIPT = tuple((code, re.compile(pattern)) for code, pattern in _SCRIPTS)
_OTHER_SCRIPT = re.compile("[\u0370-\u1cff\u2c00-\u2dff\u3040-\ud7ff\uf900-\ufdff\ufe70-\ufefc]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_ASKS_FOR_ANOTHER = re.compile(
    r"(?i)\b(?:traduc|tradott|traduzion|translat|tradui|übersetz|traduz|in\s+(?:inglese|italiano|francese|spagnolo|tedesco"
    r"|english|italian|french|spanish|german|portuguese|chinese|japanese|portoghese|cinese|giapponese|latino|latin)"
    r"|en\s+(?:inglés|español|français|anglais|italien))"
)


class _Tally(dict[str, int]):
    """Word -> a number with one field for each language, 1 where the word is common in it."""

    def __missing__(self, word: str) -> int:
        bare = word.strip(".,;:!?()[]*_\"“”«»…¿¡'’`-").lower().replace("’", "'")
        tally = 0
        for place, language in enumerate(_LANGUAGES):
            tally += (bare in _SETS[language] or bare.split("'")[0] in _SETS[language]) << (_BITS * place)
        if len(word) < 24:
            self[word] = tally
        return tally


_SETS = {language: frozenset(words.split()) for language, words in _COMMON.items()}
_TALLY = _Tally()
_MOST_WORDS = 200_000
_last: tuple[Conversation, tuple[tuple[Look, str | None], ...]] | None = None


def language_of(text: str) -> str | None:
    """`it`, `en`, the code of another language, or None: too short to tell, a list of names, code.

    Told apart: it, en, es, fr, de, pt, nl by common words; ja, ko, zh, ru (any Cyrillic), ar, he, el, hi, th by script.
    Code between fences does not count. A text in two languages gets that of most of its words.
    """
    text = text[:_MOST_CHARS]
    if "```" in text:
        text = _FENCED.sub(" ", text)
    return _told(text, text.split(None, _WORDS_THAT_TELL))


def _told(text: str, words: Sequence[str]) -> str | None:
    if not text.isascii() and (script := _script(text[:_MOST_CHARS])):
        return script
    if len(_TALLY) > _MOST_WORDS:
        _TALLY.clear()
    words = words[:_WORDS_THAT_TELL]
    counts = sum(map(_TALLY.__getitem__, words)).to_bytes(len(_LANGUAGES), "little")
    second, best = sorted(counts)[-2:]
    if best - second < 1 + len(words) // 60 or (best == 1 and len(words) > 3):
        return None
    return _LANGUAGES[counts.index(best)]


def _script(text: str) -> str | None:
    others = len(_OTHER_SCRIPT.findall(text))
    if others < 2 or others * 2 < len(_LATIN.findall(text)):
        return None
    for code, pattern in _SCRIPT:
        found = len(pattern.findall(text))
        if found * (8 if code == "ja" else 2) > others:  # Japanese is half Chinese characters
            return code
    return None


def languages_of(conversation: Conversation) -> tuple[tuple[Look, str | None], ...]:
    """Every spoken turn and its language. Those of the last conversation are remembered: several rules ask for them."""
    global _last
    if _last is None or _last[0] is not conversation:
        spoken = [look for look in glance(conversation) if look.role in {"human", "gpt"}]
        _last = (conversation, tuple((look, _of_look(look)) for look in spoken))
    return _last[1]


def _of_look(look: Look) -> str | None:
    return language_of(look.text) if look.marks & FENCE else _told(look.text, look.words)


def language_of_answers(conversation: Conversation) -> str | None:
    """The language of most answers' characters; None where no answer tells its language."""
    characters: Counter[str] = Counter()
    for look, language in languages_of(conversation):
        if look.role == "gpt" and language is not None:
            characters[language] += len(look.text)
    return max(characters, key=characters.__getitem__) if characters else None


def language_hits(conversation: Conversation) -> Iterator[Hit]:
    """E6: an answer in another language than its question, unless the question asks for one."""
    asked: str | None = None
    question = ""
    for look, language in languages_of(conversation):
        if look.role == "human":
            question, asked = look.text[:_MOST_CHARS], language
        elif None not in (asked, language) and language != asked and len(look.words) > 3:
            if not _ASKS_FOR_ANOTHER.search(question):
                message = f"the answer is in another language ({language}) than the question ({asked})"
                yield Hit("E6", message, look.turn)
