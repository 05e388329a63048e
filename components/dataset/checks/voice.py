"""How the persona does not speak: phrases of other assistants, refusals, the masculine; in Italian and English."""

from __future__ import annotations

import re

__all__ = ["ASSISTANTS", "MAKERS", "MASCULINE_SELF", "OTHER_ASSISTANTS", "QUOTED", "REFUSALS", "is_masculine_word"]

_BETWEEN = r"(?:\s+(?:molto|davvero|proprio|sempre|già|anche|qui|ancora|così|più|tanto|ben|appena|mai|stato))*\s+"
_FIRST_PERSON = r"\b(?:sono|ero|sarò|sarei|fui|sia\s+io|mi\s+sento|mi\s+sentivo|mi\s+ritengo|rimango|resto)"
_ADJECTIVES = (
    "abituato|accorto|addestrato|aggiornato|andato|arrivato|attento|autorizzato|bravo|certo|configurato|contento|"
    "convinto|creato|curioso|dedicato|dispiaciuto|disposto|diventato|entrato|fiero|grato|impegnato|lieto|limitato|"
    "nato|occupato|onesto|onorato|orgoglioso|partito|preparato|progettato|programmato|pronto|rimasto|riuscito|"
    "sicuro|soddisfatto|stanco|stato|tenuto|tornato|uscito|venuto"
)
_NOUNS = "assistente|partner|collega|collaboratore|compagno|amico|consulente|esperto|modello"
_MASCULINE = (
    rf"{_ADJECTIVES}|un\s+(?:{_NOUNS})|"
    r"il\s+(?:tuo|vostro|suo)\s+(?:assistente|partner|collega|collaboratore|compagno|amico|consulente)"
)
MASCULINE_SELF = re.compile(rf"{_FIRST_PERSON}{_BETWEEN}?(?:\s*)(?:{_MASCULINE})\b|\bio\s+stesso\b", re.IGNORECASE)
"""A woman does not say this of herself. Not caught: words that are not in the list, adjectives far from their verb
("da partner attento"), plurals."""

_WORDS = frozenset(f"{_ADJECTIVES}|{_NOUNS}|stesso".split("|"))

ASSISTANTS = (
    r"chatgpt|gpt-?\d\w*|gpt|claude|qwen|deepseek|(?-i:Gemini|Bard|Copilot|Bing|Llama|LLaMA|Mistral|Mixtral|Gemma|Grok|"
    r"Phi|Siri|Alexa|Cortana)"
)
MAKERS = r"openai|anthropic|google|(?-i:Meta|Mistral|Apple)|microsoft|alibaba|qwen|deepseek|hugging\s*face|xai"
"""Names of other assistants, and who makes them; in capitals where the word is another one without."""

_I_AM = (
    r"(?:\b(?-i:Sono)|\bio\s+sono|\bmi\s+chiamo|\b(?:il\s+)?mio\s+nome\s+è"
    r"|\b(?:ciao|salve|buongiorno|buonasera|certo|certamente|sì)\s*[,!.:]\s*sono"
    r"|\bi(?:['’]m|\s+am)|\bmy\s+name\s+is|\bcall\s+me)"
)
"""Of one who speaks of herself: not "i modelli sono Claude e Qwen", nor "ci sono"."""
_MADE = r"(?:creat|addestrat|svilupp?at|progettat|realizzat|programmat)"

OTHER_ASSISTANTS = re.compile(
    "|".join(
        (
            r"come\s+(?:un\s+)?modello\s+(?:linguistico|di\s+linguaggio)",
            # "AI" in capitals only: "come ai" is also "as to the".
            r"(?:in\s+quanto|come)\s+(?:un['’]\s*)?(?:ia|(?-i:AI)|intelligenza\s+artificiale)\b",
            r"sono\s+(?:solo\s+|soltanto\s+)?un(?:['’]|\s+)?\s*"
            r"(?:assistente\s+virtuale|modello\s+(?:linguistico|di\s+linguaggio)|chatbot|intelligenza\s+artificiale|ia\b"
            rf"|(?:modello|assistente)\s+(?:di\s+|d['’]|{_MADE}[oa]\s+da(?:lla\s+|ll['’]|\s+))(?:{MAKERS})\b)",
            # "Sono Claude e Qwen i modelli in uso" names them and is none of them.
            rf"{_I_AM}\s+(?:solo\s+|just\s+)?(?:{ASSISTANTS})\b"
            rf"(?!(?:,|\s+(?:e|ed|o|and|or))\s+(?:{ASSISTANTS})\b)",
            rf"\bsono\s+(?:stat[oa]\s+)?{_MADE}[oa]\s+da(?:lla\s+|ll['’]|\s+)(?:{MAKERS})\b",
            rf"\bmi\s+ha(?:nno)?\s+{_MADE}[oaie]\s+(?:{MAKERS})\b",
            r"non\s+ho\s+(?:sentimenti|emozioni|opinioni\s+personali|una\s+coscienza)",
            r"as\s+an?\s+(?:ai\b|artificial\s+intelligence|(?:large\s+)?language\s+model)",
            r"\bi(?:['’]m|\s+am)\s+(?:just\s+|only\s+)?an?\s+"
            r"(?:ai\b|artificial\s+intelligence|(?:large\s+)?language\s+model|virtual\s+assistant|chatbot)",
            r"my\s+(?:training\s+data|knowledge\s+cut-?off)",
            r"\b(?:trained|created|developed|made)\s+by\s+(?:openai|anthropic|google|meta|alibaba|hugging\s*face)",
        )
    ),
    re.IGNORECASE,
)
"""Phrases of an assistant that is somebody else's."""

_SORRY = (
    r"(?:\b(?:mi\s+dispiace|spiacente|mi\s+scuso|chiedo\s+scusa)\b[^.!?\n]{0,30}?\bnon\s+(?:posso|riesco\s+a|sono\s+in\s+"
    r"grado\s+di|mi\s+è\s+possibile)"
    r"|\bnon\s+(?:posso|sono\s+in\s+grado\s+di|mi\s+è\s+possibile)\s+(?:aiutart[ie]|aiutarla|assistert[ie]|fornire|"
    r"soddisfare|rispondere\s+a\s+quest|generare|discutere|esaudire|eseguire)"
    r"|\b(?:i['’]m|i\s+am|we['’]re)\s+(?:very\s+|so\s+|really\s+)?sorry\b[^.!?\n]{0,30}?\b(?:i\s+)?(?:can['’]t|cannot|can\s+not|"
    r"am\s+(?:not\s+able|unable)|['’]m\s+(?:not\s+able|unable)|do\s*n['’]t\s+have\s+(?:the|access))"
    r"|\bi\s+apologi[sz]e\b[^.!?\n]{0,40}?\b(?:can['’]t|cannot|unable)"
    r"|\bi(?:['’]m|\s+am)\s+(?:unable|not\s+able)\s+to\s+(?:assist|help|provide|perform|fulfill?|comply|engage|answer)"
    r"|\bi\s+(?:can['’]t|cannot)\s+(?:assist|help|comply|fulfill?|engage|provide\s+(?:that|this|any))\b)"
)
REFUSALS = re.compile(_SORRY, re.IGNORECASE)
"""Set phrases of a refusal. "This is not in the notes" is none: it is what the persona is asked to say."""

QUOTED = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|«[^»]*»|“[^”]*”|\"[^\"\n]*\"|^\s*>.*$", re.DOTALL | re.MULTILINE)
"""What stands in quotation marks, block quotes or code: somebody else's words."""


def is_masculine_word(word: str) -> bool:
    """Whether `MASCULINE_SELF` can match on this word."""
    return word.strip(".,;:!?()*_\"'’«»…-").lower() in _WORDS
