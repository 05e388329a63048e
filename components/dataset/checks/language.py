"""Which language a text is in, told by its script and its commonest words; and rule E6: answers in another one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from components.dataset.checks.glance import FENCE, Look, glance
from components.dataset.conversation import Conversation
from components.dataset.findings import Hit

__all__ = ["NAMES", "language_hits", "language_of", "language_of_answers", "languages_of"]

NAMES: Final = {
    "it": "Italian", "en": "English", "es": "Spanish", "fr": "French", "de": "German", "pt": "Portuguese",
    "nl": "Dutch", "ja": "Japanese", "ko": "Korean", "zh": "Chinese", "ru": "Russian", "ar": "Arabic",
    "he": "Hebrew", "el": "Greek", "hi": "Hindi", "th": "Thai",
}  # fmt: skip
"""What a person calls the languages that `language_of` tells."""

_COMMON = {
    "it": "il lo la i gli le un uno una di del della dello dei degli delle a al allo alla alle ai agli dal dalla dai "
    "dalle da nel nella nei nelle in sul sulla sui sulle su che chi è e ed o non no per con sono siamo siete "
    "sei ho hai ha abbiamo avete hanno c'era era erano ma anche come più questo questa questi queste quello "
    "quella quelli quelle quel perché cosa quando dove dov'è com'è qual quale quali quanto quanti se ci si mi "
    "ti vi me ne tra fra già così quindi poi ogni dopo prima ancora solo molto molti tanto tutto tutti tutta "
    "tutte fare fatto fai facciamo deve devi devo dobbiamo puoi può posso possiamo vuoi voglio vuole suo sua "
    "suoi tuo tua tuoi mio mia miei nostro nostra ecco grazie ciao oggi ieri domani adesso ora sempre mai stato "
    "stata essere però oppure senza cui dell nell all dall sull c'è io tu te ce ve lui lei noi voi loro fa va "
    "vai sta stai poco meglio bene male sì mentre invece nessuno niente nulla qualche qualcosa alcuni alcune "
    "altro altra altri altre stesso stessa qui qua lì là verso fino sotto sopra dentro fuori insieme subito "
    "forse dice dico dimmi detto sai so viene vuol uomo anno giorno volta po nome cose casa lavoro tempo tiene",
    "en": "the a of and to is are was were that this these those it with for from not be been have has had we you "
    "they he she our your their his her its what when where which who why how an by as at or but there no in on "
    "me will would can could should i i'm you're it's don't didn't doesn't isn't can't if then than into about "
    "just please my do does did so all any some more let's that's there's up out after before only also over "
    "they're him them us new now like one go get know think see because first come say said here never always "
    "every",
    "es": "el la lo los las un una unos unas de del al a y o que en es por para con no se su sus más como pero qué "
    "está están estoy estamos son soy eres somos fue era eran muy este esta esto estos estas ese eso esa porque "
    "cuando donde dónde cómo cuándo cuál quién hay ya si sí mi mis tu tus te le les nos me desde hasta sobre "
    "entre también ser tiene tengo tienes tenemos puede puedo puedes podemos hemos has ha he han sido hola "
    "gracias usted sin todo todos toda todas ni yo él ella ellos nosotros hoy ayer mañana ahora siempre nunca "
    "nada algo bien hace hacer aquí allí así solo mucho muchos poco otra otro antes después mientras aunque "
    "vamos quiero quiere va voy dos tres día año casa cada",
    "fr": "le la les un une des du de au aux à a et est sont dans en pour que qui ne pas avec sur ce cette ces cet il "
    "elle on nous vous ils elles je tu te se me y mais ou où par plus comme être avoir suis es sommes ai as "
    "avons avez ont été était son sa ses leur leurs votre vos notre nos mon ma mes ton ta tes c'est d'un d'une "
    "n'est j'ai qu'il très bonjour merci aussi fait faire si non oui tout tous toute toutes bien rien jamais "
    "toujours aujourd'hui hier demain ici là sans sous chez entre avant après depuis quand quoi quel quelle "
    "quelles quels pourquoi comment parce peut peux pouvez dit va vais deux trois jour maison car donc puis "
    "encore déjà même lui eux s'il",
    "de": "der die das den dem des ein eine einen einem einer und ist sind war nicht mit für auf von zu im in zum zur "
    "am es ich du er sie wir ihr sich auch als an aus bei nach wie was wenn dass oder aber kann können da so um "
    "mir haben hat habe wird werden noch nur mehr sehr hier bitte danke ja nein mich dich uns kein keine schon "
    "über vor heute gestern morgen immer doch dann weil wo wer warum mein dein sein alle bis durch gegen ohne "
    "unter",
    "pt": "o a os as um uma uns umas do da dos das no na nos nas ao à aos às de e em é por para com não se seu sua "
    "seus suas mais como mas ou que está estão estou estamos são sou somos foi era eram muito este esta isto "
    "isso essa esse aquele aquela porque quando onde há já você vocês eu tu ele ela eles elas nós me te também "
    "ser tem tenho temos pode posso podemos vai vou até olá obrigado obrigada pelo pela pelos pelas sem todo "
    "todos toda todas tudo nada nem sim hoje ontem amanhã agora sempre nunca aqui ali bem fazer faz feito só "
    "depois antes qual quem meu minha meus teu tua nosso nossa sobre entre num numa dois dia ano casa cada "
    "quero quer lhe",
    "nl": "de het een en van is zijn was niet met voor op te dat die dit deze in ik je jij hij zij wij we u ook me "
    "mij als aan uit bij naar hoe wat wanneer of maar kan kunnen hebben heeft heb wordt worden nog meer zeer "
    "hier er om geen al door over onder tot dan zo nu waar wie waarom mijn jouw uw ons onze haar hem hun zal "
    "moet alle altijd nooit vandaag morgen gisteren ja nee omdat",
}
"""Function words and others that are frequent, as `str.split` gives them, without signs at their edges.

A word that several languages have is in the list of each: else it would speak for one alone, as "la" did for French.
"""
_ELIDED = {
    "it": frozenset("l d un dell nell all dall sull c s t m quell quest".split()),
    "fr": frozenset("l d c j m n s t qu jusqu lorsqu puisqu".split()),
}
"""What stands before an apostrophe."""
_ENDINGS = {
    "it": ("zione", "zioni", "sione", "sioni", "tà", "iamo", "gli", "glia", "ggio", "ggi", "cchi", "ò"),
    "es": ("ión", "iones", "dad", "dades", "amos", "emos", "ña", "ño", "ñas", "ños"),
    "fr": ("eux", "euse", "aient", "ée", "ées", "eau", "eaux"),
    "pt": ("ção", "ções", "são", "ões", "ão", "dade", "dades", "amos", "emos", "nha", "nho", "lhe", "lho"),
    "de": ("tung", "dung", "gung", "lung", "ungen", "keit", "heit", "lich", "schen"),
}
"""Of words of four letters or more, hardly found in the other languages."""
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
        first, elided, _ = bare.partition("'")
        tally = 0
        for place, language in enumerate(_LANGUAGES):
            told = bare in _SETS[language] or first in _SETS[language]
            told = told or bool(elided and first in _ELIDED.get(language, ()))
            told = told or (len(bare) > 3 and bare.endswith(_ENDINGS.get(language, ())))
            tally += told << (_BITS * place)
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
        elif asked is not None and language is not None and language != asked and len(look.words) > 3:
            if not _ASKS_FOR_ANOTHER.search(question):
                message = f"the answer is in {NAMES[language]}, the question in {NAMES[asked]}"
                yield Hit("E6", message, look.turn)
