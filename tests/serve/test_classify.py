"""How hard a question is: a table of questions, and what holds for any."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.serve.params import HelperParams, RouterParams
from components.serve.router.classify import Classified, classify

DEFAULTS = RouterParams(helper=HelperParams(model="fake/chat"))


def judged(question: str) -> Classified:
    return classify(
        question, complex_words=DEFAULTS.complex_words, long_question_chars=DEFAULTS.long_question_chars
    )  # fmt: skip


SIMPLE = """\
Dove siamo arrivati con le prenotazioni?
Chi è il referente per il sito?
Quando scade il contratto con l'hosting?
Qual è la password policy?
Quanto costa la caparra ad agosto?
Che cosa abbiamo deciso sul logo?
A che ora è la riunione di lunedì?
Come si chiama il cliente di Modena?
Quale colore usiamo per i bottoni?
Chi ha scritto la nota sul rilascio?
In che stato è la migrazione?
Abbiamo già pagato la fattura di marzo?
Dimmi il numero del fornitore
Ricordami la data del rilascio
Ciao, come stai?
Che porta usa il server di prova?
Quale versione è in produzione?
Dov'è il file delle traduzioni?
Chi è di turno domani?
Quanti ospiti sono attesi a Pasqua?
Il backup gira ogni notte?
Con chi abbiamo parlato del preventivo?
Qual è il dominio nuovo?
Che cos'è la caparra confirmatoria?
L'ultima decisione sul calendario qual è?
Il piano tariffario è cambiato?
Cosa manca per il rilascio?
Where are we with the bookings?
Who owns the billing service?
When does the hosting contract end?
What did we decide about the logo?
Which port does the test server use?
How many guests are expected at Easter?
Is the backup run every night?
What is the new domain?
Who is on call tomorrow?
Remind me of the release date
What is the deposit in August?
Which version is live?
Where is the translation file?
Did we pay the March invoice?
What colour are the buttons?
Who wrote the note about the release?
What's left before the release?
Hi, how are you?
Is airplane mode mentioned in the notes?
What does the planner do on Mondays?
Look at https://example.com/?a=1&b=2 please
Who is the designer?
La comparazione è nelle note?
What?!
Davvero???
"""

MEDIUM = """\
Perché abbiamo cambiato fornitore?
Perche abbiamo cambiato fornitore?
PERCHÉ abbiamo cambiato fornitore?
Perchè la migrazione è ferma?
E perche' no?
Confronta i due preventivi
Analizza le cause del ritardo
Qual è la nostra strategia per l'estate?
Valuta l'offerta di Rossi
Quali sono i pro e contro del nuovo hosting?
Pianifica la settimana prossima
Progetta la pagina delle offerte
Chi viene domani? E a che ora?
Dov'è il contratto? Quando scade?
Fammi un elenco dei fornitori
Elenca le decisioni di marzo
Elencami i clienti di Modena
Scrivi una tabella con i prezzi
Dammi la lista delle cose aperte
Preparami una checklist per il rilascio
Vorrei un piano per il trasloco
Scrivimi una scaletta per la riunione
Spiegami passo passo il rilascio
Spiegami passo per passo la migrazione
Scrivi uno script per il backup
Scrivi il codice del modulo di contatto
Crea una query per gli ospiti di agosto
Implementa il login
Refactor the booking module
Why did we change supplier?
Compare the two quotes
Analyse the causes of the delay
Analyze the causes of the delay
What is our strategy for the summer?
Evaluate the offer from Rossi
What is the trade-off here?
What is the plan for next week?
Who comes tomorrow? And at what time?
Give me a list of the suppliers
List all decisions of March
List the open points
Make a table of the prices
Prepare a checklist for the release
Write an outline for the meeting
Draft a schedule for the move
Explain the release step by step
Write a function that adds two dates
Write a script for the backup
Show me the code of the form
What does ```ls -la``` do here
What does def total(items) return
Che cosa fa SELECT nome FROM ospiti secondo le note
"""

COMPLEX = """\
Perché conviene il nuovo hosting? Confronta i costi
Confronta e valuta i due preventivi
Analizza la strategia di prezzo
Pro e contro, e perché?
Pianifica il rilascio e valuta i rischi
Perché è fermo? E chi lo sblocca?
Fammi un elenco dei pro e contro
Scrivi un piano e una lista dei rischi, e scrivi uno script per il backup
Scrivi uno script che confronta due file e spiegami perché funziona, confronta anche i tempi
Progetta lo schema e scrivi la query
Why is it slow? How do we mend it?
Compare and evaluate the two quotes
Analyze the strategy for the summer
Write a plan and evaluate the risks
Give me a list of reasons why we should move
Make a plan for the release
Design the table and write the query
Compare the options step by step
Write a function, and explain why it works
Why? Why not?
"""


def rows(text: str, tier: str) -> list[tuple[str, str]]:
    return [(line, tier) for line in text.splitlines()]


TABLE = rows(SIMPLE, "simple") + rows(MEDIUM, "medium") + rows(COMPLEX, "complex")


def test_the_table_is_long_and_names_no_question_twice() -> None:
    assert len(TABLE) >= 100
    assert len(dict(TABLE)) == len(TABLE)


@pytest.mark.parametrize(("question", "tier"), TABLE, ids=[question for question, _ in TABLE])
def test_a_question_is_as_hard_as_the_table_says(question: str, tier: str) -> None:
    found = judged(question)
    assert found.tier == tier, found


@pytest.mark.parametrize(
    ("question", "because"),
    [
        ("Chi viene domani?", "it is short and asks one thing"),
        ("Perché?", "it says 'perché'"),
        ("Confronta e valuta i due", "it says 'confronta' and 'valuta'"),
        ("Chi? Quando?", "it asks more than one thing"),
        ("Elenca i pro e contro", "it says 'pro e contro'; it wants a list"),
        ("x" * 401, "it is long (more than 400 characters)"),
        ("Perché? " + "x" * 1200, "it is long (more than 1200 characters); it says 'perché'"),
        ("Guarda:\n- uno\n- due", "it holds a list"),
        ("Guarda:\n    x = f(1);", "it holds code"),
    ],
    ids=["nothing", "word", "words", "questions", "list", "long", "longer", "holds a list", "holds code"],
)
def test_the_reason_is_told_in_words(question: str, because: str) -> None:
    assert judged(question).because == because


@pytest.mark.parametrize(
    ("chars", "tier"), [(400, "simple"), (401, "medium"), (1200, "medium"), (1201, "complex")],
    ids=["400", "401", "1200", "1201"],
)  # fmt: skip
def test_length_counts_from_one_character_more(chars: int, tier: str) -> None:
    assert judged("a" * chars).tier == tier


def test_the_words_are_the_recipes() -> None:
    assert classify("Il bilancio di marzo", complex_words=["bilancio"], long_question_chars=400).tier == "medium"
    assert classify("Perché?", complex_words=[], long_question_chars=400).tier == "simple"
    assert classify("ciò che è c++ (vero)", complex_words=["c++", " ", ""], long_question_chars=400).points == 1


@given(st.text(max_size=300))
def test_any_text_has_a_tier_the_same_each_time_whatever_its_accents_and_case(text: str) -> None:
    found = judged(text)
    assert found == judged(text)
    assert found.because
    assert (found.tier == "simple") == (found.points == 0)


@pytest.mark.parametrize(
    "text",
    ["\n" * 8000, " " * 8000, "scrivi " * 1200, "SELECT " * 1200, "? " * 4000, "- \n" * 2700, "`" * 8000,
     "?" * 8000 + "x", "？" * 8000 + "x", "?x" * 4000, "scrivi" + "!" * 8000, "scrivi " + "a" * 8000,
     "scrivi" + ("!" * 2000 + "a") * 4, "class " + "a" * 8000, "from " + "a." * 4000, "    x" + "a" * 8000,
     "\ufdfa" * 8000],
    ids=["lines", "spaces", "orders", "selects", "questions", "bullets", "fences", "a row of signs", "wide signs",
         "addresses", "an order and signs", "an order and a word", "an order and rows", "a class", "an import",
         "a line of code", "signs that fold to many"],
)  # fmt: skip
def test_a_hostile_text_takes_no_time(text: str) -> None:
    begun = time.process_time()
    judged(text)
    assert time.process_time() - begun < 0.5


def test_a_row_of_question_marks_is_one_question_however_long() -> None:
    assert judged("Davvero" + "?" * 300).points == judged("Davvero?").points
    assert judged("Davvero" + "?" * 100 + " Quando" + "?" * 100).because == "it asks more than one thing"
