"""Italian as people write it is left alone; broken accents, other assistants' phrases and the masculine are found."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chats import chat, glaive, rules, said  # noqa: E402
from sentences import SENTENCES  # noqa: E402

from components.dataset.checks.italian import italian_hits  # noqa: E402
from components.dataset.checks.language import NAMES, language_hits, language_of  # noqa: E402
from components.dataset.checks.voice import ASSISTANTS  # noqa: E402

CLEAN = (
    "Ecco un po' di storia: l'hanno scelta loro, all'inizio dell'anno, perché c'è meno lavoro.",
    "Di' pure a Rafa che va bene, va' a vedere e fa' attenzione: sta' tranquillo, mo' arrivo.",
    "L'idea dell'olio è sua; un'altra, be', l'aveva già detta un amico d'un amico.",
    "Negli anni '80 e nel '94 si faceva così; 'ndrangheta e 'sta cosa sono altro.",
    "La parola 'perche' si scrive con l'accento, e 'città' pure: lo dice la nota 'qualità' del '24.",
    "Com'è andata? Dov'è finita? Qual è la decisione? Cos'altro c'era nell'elenco?",
    "Più volte abbiamo detto che la qualità, la velocità e l'onestà vengono prima: lunedì, martedì, sì.",
    "Il file perche.md e la cartella note/citta/piu sono lì; il comando `piu'` non esiste.",
    "Questo è il palazzo de' Medici, e la ca' d'oro è un'altra cosa.",
)  # fmt: skip


@pytest.mark.parametrize("text", CLEAN)
def test_italian_with_its_apostrophes_is_clean(text: str) -> None:
    assert list(italian_hits(said(text))) == []
    assert list(italian_hits(said("La risposta è nella nota.", text))) == []
    assert language_of(text) == "it"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("E' la scelta di sempre.", "E'"),
        ("La scelta e' questa e non si cambia.", "e'"),
        ("Lo abbiamo scelto perche' regge di piu'.", "perche', piu'"),
        ("La citta' e l'attivita' sono quelle della nota.", "citta', l'attivita'"),
        ("C'e' un motivo: cosi' si puo' fare gia' oggi.", "C'e', cosi', puo'"),
        ("Domani andra' meglio, te lo diro' io.", "andra', diro'"),
        ("La QUALITA' del lavoro non si tocca.", "QUALITA'"),
        ("La scelta è buona perche´ regge, e c’e’ poco da fare.", "perche´, c’e’"),
        ("La scelta è buona perche regge di piu.", "perche, piu"),
    ],
)
def test_accents_in_ascii_are_shown(text: str, seen: str) -> None:
    (hit,) = italian_hits(said(text))
    assert (hit.rule, hit.turn, hit.severity) == ("C4", 1, None)
    assert hit.message == f"accents in ASCII: {seen}"


def test_people_may_leave_accents_out_but_not_write_them_with_an_apostrophe() -> None:
    assert list(italian_hits(said("La nota dice di sì.", "perche abbiamo scelto Postgres per il progetto?"))) == []
    assert rules(italian_hits(said("La nota dice di sì.", "perche' abbiamo scelto Postgres per il progetto?"))) == [
        "C4"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "The users' data and the employee's file are what we use; 'the note' and 'more' are quoted words.",
        "I dati: the 'note', a 'file', the 'use' of 'more' is in 'here'.",
        "Perche' is a wrong word that the note has.",
        "El usuario dice que 'la nota' no está aquí, porque 'más' es otra cosa.",
        "Rock 'n' roll, y'all, and the boys' one.",
    ],
)  # fmt: skip
def test_apostrophes_of_other_languages_are_left_alone(text: str) -> None:
    assert list(italian_hits(said(text, "What is in the note?"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "Abbiamo scelto cosÃ¬.", "La cittÃ  Ã¨ grande e perÃ² piÃ¹ cara.", "Lâ€™idea Ã¨ buona.", "Câ€™Ã¨ tempo.",
        "Perch\u00c3\u00a9 no?", "La qualit\u00c3\u00a0, certo.", "â€œVa beneâ€\x9d, disse.", "Costa 10 â‚¬ al mese.",
        "È già pi\u00c3\u00b9.", "ÃˆÂ così.", "Fatto âœ… oggi.",
    ],
)  # fmt: skip
@pytest.mark.parametrize("role", ["human", "gpt", "system"])
def test_mojibake_is_found_in_every_spoken_turn(role: str, text: str) -> None:
    (hit,) = [hit for hit in italian_hits(chat((role, text))) if hit.rule == "C4"]
    assert hit.message.startswith("broken letters: ")


@pytest.mark.parametrize(
    "text",
    [
        "À, È, É, Ì, Ò, Ù: così, perché, più.", "SÃO PAULO é a MAÇÃ do Brasil, não é?",
        "À bientôt, garçon: ça va être l'été.", "Âge, Âme, hâte, château; Ångström, Ærø.", "Größe, Übermut, Straße.",
        "Привет, это правда.", "你好，世界。", "10 € e 5 £ e 3 ¥.", "«Va bene», disse: “sì”. L’idea… è buona – molto.",
        "Ðe Íslenska þjóð.", "Ñandú y Ávila.", "Dom João e a irmã da Conceição.",
    ],
)  # fmt: skip
def test_letters_of_other_languages_are_no_mojibake(text: str) -> None:
    assert [hit for hit in italian_hits(said(text)) if hit.rule == "C4"] == []


@pytest.mark.parametrize(
    "text",
    [
        "Come modello linguistico, non posso saperlo.", "In quanto IA non decido io.",
        "Sono solo un assistente virtuale.", "Non ho emozioni, ma la nota è chiara.",
        "As an AI language model, I cannot say.", "I'm just an AI.", "My training data ends there.",
        "I was developed by Google.", "Mi dispiace, ma non posso aiutarti con questo.",
        "Spiacente, non sono in grado di rispondere.", "I'm sorry, but I can't assist with that request.",
        "I apologize, but I cannot help.", "I am unable to assist with that.",
        "Non posso soddisfare questa richiesta.",
        "Sono ChatGPT, un modello di OpenAI, e ti aiuto.", "Certamente! Sono Claude, creato da Anthropic.",
        "I'm ChatGPT, a large language model.", "Sono stata creata da Alibaba Cloud, e mi chiamo Qwen.",
        "Mi chiamo Gemini.", "Ciao, sono Qwen e ti ascolto.", "Io sono GPT-4o.", "Il mio nome è DeepSeek.",
        "Mi ha creata OpenAI.",
        "Sono stata addestrata dall'Anthropic.", "My name is Claude.", "I am Copilot, your companion.",
        "Hello! I’m Llama 3.",
        "Ho letto la nota con cura e l'ho riletta più volte per dirti questo.\n\nMi dispiace, ma\nnon posso\naiutarti.",
    ],
)  # fmt: skip
def test_phrases_of_other_assistants(text: str) -> None:
    assert rules(italian_hits(said(text))) == ["C10"]
    assert list(italian_hits(said("La nota dice di sì.", text))) == []  # a person may say it


@pytest.mark.parametrize(
    "text",
    [
        "Non è nelle note: non posso dirtelo con certezza.", "Mi dispiace che sia andata così.",
        "I'm sorry to hear that.", "Come ai vecchi tempi.",
        "La nota «Come modello linguistico, non posso» è un esempio.", "Il modello linguistico scelto è Qwen.",
        "Sorry, my mistake: it was in May.", "Non ho trovato la decisione nelle note.", "Posso aiutarti a cercarla.",
        "Sono Claude e Qwen i modelli che usiamo.", "I modelli sono Claude, Qwen e Gemini.",
        "Ci sono Claude, ChatGPT e altri.", "Claude è un modello creato da Anthropic.",
        "No, sono Cervella, non ChatGPT.",
        "Gli altri, in ordine di costo, sono ChatGPT e Qwen.", "Io non sono ChatGPT.", "I'm not ChatGPT.",
        "I'm using Claude for this.", "Le note sono un modello di chiarezza.", "Sono un modello di meta ragionevole.",
        "Sono Gemini, Claude e Qwen.", "Sono andata da Google con Rosa.",
        "La coscienza di Zeno non è nelle note.", "We can't use it, because the model is too large.",
    ],
)  # fmt: skip
def test_prose_that_only_resembles_them(text: str) -> None:
    assert [hit for hit in italian_hits(said(text)) if hit.rule == "C10"] == []


@pytest.mark.parametrize(
    "form", ["Ecco. Sono {}.", "I'm {}, an assistant.", "Mi chiamo «{}»", "Certo! Sono {}, chiedi pure."]
)
def test_every_name_of_another_assistant_is_looked_at(form: str) -> None:
    """The words of the quick look know all that the phrases know."""
    names = "ChatGPT GPT-4 GPT Claude Qwen DeepSeek Gemini Bard Copilot Bing Llama Mistral Gemma Grok Phi Siri".split()
    assert [name for name in names if not re.search(f"(?i:{ASSISTANTS})", name)] == []
    found = {name for name in names if "C10" in rules(italian_hits(said(form.format(name))))}
    assert found == (set() if "«" in form else set(names))  # quoted: somebody else's words


@pytest.mark.parametrize("maker", "OpenAI Anthropic Google Meta Mistral Microsoft Alibaba DeepSeek".split())
@pytest.mark.parametrize(
    "form",
    ["Sono stata creata da {}.", "Mi ha addestrata {}.", "Sono un modello di {}.", "Sono un assistente creato da {}."],
)
def test_every_maker_of_another_assistant_is_looked_at(form: str, maker: str) -> None:
    assert rules(italian_hits(said(form.format(maker)), feminine=False)) == ["C10"]


@pytest.mark.parametrize(
    "text",
    ["Sono pronto a cominciare.", "Sono sempre stato attento.", "Sono il tuo assistente.", "L'ho visto io stesso."],
)
def test_the_partner_speaks_in_the_feminine(text: str) -> None:
    (hit,) = italian_hits(said(text))
    assert (hit.rule, hit.turn) == ("C15", 1)
    assert list(italian_hits(said(text), feminine=False)) == []
    assert list(italian_hits(said("Va bene, grazie.", text))) == []  # a person is who he is


@pytest.mark.parametrize(
    "text",
    [
        "Sono pronta e sono stata attenta.", "È stato deciso ieri.", "I dati sono stati aggiornati.",
        "Dice: «sono pronto».", "Il partner è pronto.", "Ne sono certa; lui è sicuro.",
    ],
)  # fmt: skip
def test_feminine_and_others_are_left_alone(text: str) -> None:
    assert list(italian_hits(said(text))) == []


LANGUAGES = [
    ("it", "Abbiamo scelto Postgres perché regge più scritture insieme."),
    ("it", "Sì, certo: è nelle note di ieri."),
    ("it", "Qual è la decisione sul database?"),
    ("en", "We chose Postgres because it takes more writes at the same time."),
    ("en", "What did we decide about the database?"),
    ("es", "Hemos elegido Postgres porque soporta más escrituras a la vez."),
    ("es", "La decisión está en las notas, pero no es la última."),
    ("fr", "Nous avons choisi Postgres parce qu'il est plus rapide."),
    ("de", "Wir haben uns für Postgres entschieden, weil es schneller ist."),
    ("pt", "Nós escolhemos o Postgres porque ele é mais rápido, não é?"),
    ("nl", "Wij hebben voor Postgres gekozen, omdat het sneller is."),
    ("zh", "我们选择了这个数据库，因为它更快。"),
    ("ja", "私たちはこのデータベースを選びました。"),
    ("ko", "우리는 이 데이터베이스를 선택했습니다."),
    ("ru", "Мы выбрали эту базу данных."),
    ("ar", "لقد اخترنا قاعدة البيانات هذه."),
    ("el", "Επιλέξαμε αυτή τη βάση."),
    ("hi", "हमने यह डेटाबेस चुना।"),
    ("th", "เราเลือกฐานข้อมูลนี้"),
    ("zh", "我们选择了 Postgres 和 LanceDB，因为它们更快，也更便宜。"),
    ("he", "בחרנו במסד הנתונים הזה."),
    (None, ""),
    (None, "Postgres 16"),
    (None, "```\nthe and of is it\n```"),
    (None, "42, 43, 44"),
    (None, "👍"),
]


@pytest.mark.parametrize(
    ("language", "text"), LANGUAGES, ids=[f"{code}-{at}" for at, (code, _) in enumerate(LANGUAGES)]
)
def test_languages(language: str | None, text: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize("language", SENTENCES)
def test_a_short_sentence_is_told_as_its_own_language_or_none(language: str) -> None:
    """Six in ten at least are told; words that languages share ("la", "no", "a") speak for none alone."""
    sentences = SENTENCES[language]
    assert len(set(sentences)) == 44
    told = {sentence: language_of(sentence) for sentence in sentences}
    assert {sentence: found for sentence, found in told.items() if found not in {language, None}} == {}
    assert sum(found == language for found in told.values()) >= 27


def test_every_language_that_is_told_has_a_name() -> None:
    assert {language for language, _ in LANGUAGES if language} <= set(NAMES)


def test_an_answer_in_another_language_is_told() -> None:
    (hit,) = language_hits(said(LANGUAGES[5][1]))
    assert (hit.rule, hit.turn) == ("E6", 1)
    assert hit.message == "the answer is in Spanish, the question in Italian"
    assert rules(language_hits(said(LANGUAGES[3][1]))) == ["E6"]
    assert list(language_hits(said(LANGUAGES[0][1]))) == []
    assert list(language_hits(said(LANGUAGES[3][1], "Che cosa abbiamo deciso? Rispondi in inglese, per favore."))) == []
    assert list(language_hits(said("Ok.", "Che cosa abbiamo deciso per il database?"))) == []


def test_real_notes_are_italian(shared: Path) -> None:
    """106 of 127 by their words; the others are tables, code and names. One is told to be English, and is."""
    told = [language_of(note.read_text(encoding="utf-8")) for note in sorted((shared / "data/sncp").rglob("*.md"))]
    assert len(told) == 127
    assert told.count("it") >= 104 and told.count("en") <= 1 and set(told) <= {"it", "en", None}


def test_real_notes_have_the_accents_that_they_have(shared: Path) -> None:
    """A third of them were written without an Italian keyboard; nothing else is said of them."""
    notes = sorted((shared / "data/sncp").rglob("*.md"))
    found = [hit.message for note in notes for hit in italian_hits(said(note.read_text(encoding="utf-8")))]
    assert len(found) == 40 and all(message.startswith("accents in ASCII: ") for message in found), found


def test_the_real_english_file_has_refusals_only(shared: Path) -> None:
    found = [(row.index, hit) for row in glaive(shared) for find in (italian_hits, language_hits) for hit in find(row)]
    assert {hit.rule for _, hit in found} == {"C10"}
    assert len(found) == 45 and sum("as an AI" in hit.message for _, hit in found) == 16
