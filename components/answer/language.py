"""Italian or English: which language a question is in."""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["Language", "detect_language"]

Language = Literal["it", "en"]

_ITALIAN = frozenset(
    "in a il lo la gli le un una uno di del dello della dei degli delle da dal dalla dai dalle nel nello nella nei "
    "negli nelle sul sulla sui sulle al allo alla ai agli alle con per tra fra e ed ma che chi cosa come quando "
    "dove perche quale quali quanto quanti quanta quante non si mi ti ci vi ne se piu anche ancora gia poi ora "
    "oggi ieri domani sono sei siamo siete era erano essere stato stata stati ho hai ha abbiamo hanno avere fare "
    "fatto fai deve devo dobbiamo puo posso possiamo vuole serve questo questa questi queste quello quella mio "
    "mia tuo tua suo sua nostro nostra loro dimmi spiegami ciao grazie chiama usa usiamo abbia deciso decisione "
    "progetto quest dell nell sull dall all cos com dov qual qualcosa senza dopo prima ogni tutti tutte quindi "
    "allora riassumi elenca scrivi".split()
)
_ENGLISH = frozenset(
    "hi hello thanks the a an of to in on at by for with from and or but is are was were be been being am do does "
    "did done have "
    "has had what which who whom whose when where why how not no it its this that these those there their our my "
    "your his her we you they he she will would can could should must may might about into than then also if as "
    "so any some all each every most more many much were explain tell me us list write summarize summarise please "
    "decided decision use uses used using work works still now today yesterday tomorrow project isn doesn don "
    "didn aren wasn can won".split()
)
_SHARED = _ITALIAN & _ENGLISH
_ACCENTS = str.maketrans("àèéìíòóùú", "aeeiioouu")
_LOOKED_AT = 2000  # characters: more tell nothing more
_CODE = re.compile(r"`[^`]*`|https?://\S+|(?<!\S)\S+\.(?:md|py|sh|js|ts|json|ya?ml)\b")
_ITALIAN_ENDING = re.compile(
    r"(?:zione|zioni|mente|ando|endo|ato|ata|ati|ate|ito|uto|are|ere|ire|ggi|cchi|tta|tti|tto|iamo)$"
)
_ENGLISH_ENDING = re.compile(r"(?:ing|tion|tions|ness|ment|ments|ed|ly|th|ght|ck|wh|sh|ous|ful)$")


def detect_language(text: str) -> Language:
    """The language of `text` by its common words, then by accents and endings; Italian when nothing decides.

    Only the first 2,000 characters are looked at.

    It knows these two languages only: a question in a third one is called by the nearer of them. Names, paths and
    code count little, because they contain none of the words.
    """
    plain = _CODE.sub(" ", text[:_LOOKED_AT].casefold())
    accents = len(re.findall(r"[àèéìòù]|\b[a-z]+[aeiou]'(?=\s|$)", plain))
    words = re.findall(r"[a-z]+", plain.translate(_ACCENTS))
    italian = 2.0 * accents
    english = 0.0
    for word in words:
        if word in _SHARED:
            continue
        if word in _ITALIAN:
            italian += 2
        elif word in _ENGLISH:
            english += 2
        elif len(word) > 3:
            italian += 0.5 * bool(_ITALIAN_ENDING.search(word)) + 0.2 * (word[-1] in "aeio")
            english += 0.5 * bool(_ENGLISH_ENDING.search(word)) + 0.2 * (word[-1] not in "aeiou")
    return "en" if english > italian else "it"
