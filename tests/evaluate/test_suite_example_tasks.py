"""The twenty example tasks: for each, a good answer passes by code alone, and a bad one fails whatever a judge says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from components.evaluate.judged import Judged
from components.evaluate.said import Said
from components.evaluate.suite import TaskSuite, code_verdicts, load_task_suite, suite_result

FENCE = "```"

GOOD = {
    "summary": """La lettera del venerdì agli ospiti, nata il 21 gennaio 2026, è stata chiusa il 3 marzo.
Non c'era una notizia a settimana, in un mese si sono cancellate diciannove persone, e ad Agnese costava una sera.
Restano la lista, il foglio del consenso e la voce. Quattro lettere l'anno sono un desiderio di Agnese, non una
decisione [1].""",
    "commit-message": """Avvisa Bianca quando il certificato di Cascinalia non vale

Lunedì notte la lettura si era fermata per un certificato scaduto e nessuno lo sapeva. Dopo tre letture mancate parte
un avviso, e l'errore non viene più taciuto.""",
    "file-status": """No: è superata dal 18 aprile 2026, lo dice la sua intestazione (DEPRECATO).
Oggi vale `20260418_CAPARRA_A_FASCE.md`.""",
    "markdown": """| Chi | Che cosa | Entro |
|---|---|---|
| Bianca | prova il rimborso dopo un buono già usato a metà | stasera |
| Agnese | rilegge in inglese "Come arrivare" e "Tavola" | pranzo |
| Nino | scrive gli allergeni del menù di giugno | venerdì |
| Cervella | bozza dell'avviso sull'acqua chiusa | 21 |""",
    "priorities": """1. Cervella: bozza dell'avviso sull'acqua, stasera prima delle 21
2. Agnese: pagine in inglese, entro il pranzo di domani
3. Bianca: rimborso dopo un buono usato a metà, domani sera
4. Nino: allergeni del menù di giugno, venerdì""",
    "translation": """To keep the room for you we ask for a small deposit. If you change your mind at least
two weeks before, we give it all back. Breakfast is from 8 to 10, on Sundays from 8:30 to 10:30.
Please check out by 10:30.""",
    "sncp-update": """> **Aggiornato:** 21 maggio 2026 - sessione 43
1. [x] Rimborso quando il buono è già stato speso a metà.
2. [ ] Le 5 pagine inglesi mancanti.
3. [ ] Prova generale il 3 giugno: Nino prenota dal telefono, Ersilia guarda e commenta.
4. [ ] Spegnere gli altri due portali dal computer di Agnese (i contratti sono già chiusi).""",
    "paths": """.sncp/memoria/decisioni/calendario-unico.md
.sncp/progetti/quaderno/ricerche/RICERCA_20260410_TRASCRIZIONE_VOCI.md
NORD.md""",
    "snippet": f"""{FENCE}sql
-- una camera, una notte, una prenotazione
CREATE TABLE notti (
  camera  TEXT NOT NULL,
  notte   TEXT NOT NULL,
  prenotazione INTEGER NOT NULL,
  UNIQUE (camera, notte)
);
{FENCE}""",
    "session-summary": """## Fatto
- Rimborso di 15,60 € andato e tornato sulla carta di Bianca in 4 minuti.

## Da fare
- Domani Bianca prova il rimborso dopo un buono già usato a metà.
- Domani, prima di pranzo, Agnese rilegge "Come arrivare".

## Blocchi
- La fotografa può solo il 29 maggio; se piove si apre con le foto vecchie della facciata.
- Il testo inglese sulla privacy aspetta l'amica avvocata.""",
    "workers": f"""{FENCE}json
{{"consegne": [
  {{"chi": "Lucerna", "che_cosa": "raccogliere le voci sugli allergeni con file e data",
    "perche": "il sito deve dire ciò che dice il quaderno", "finita_quando": "ogni piatto di giugno ha la sua voce"}},
  {{"chi": "Martella", "che_cosa": "mostrare la pagina nel sito di prova",
    "perche": "gli ospiti la leggono prima di arrivare", "finita_quando": "la pagina si apre dal telefono di Nino"}},
  {{"chi": "Staccia", "che_cosa": "confrontare pagina e voci, riga per riga",
    "perche": "un allergene sbagliato fa male a qualcuno", "finita_quando": "ogni riga della pagina ha la sua voce"}}],
 "da_chiedere": ["Agnese: chi risponde se un ospite chiede di un piatto che non c'è?"]}}
{FENCE}""",
    "architecture-decision": """# DECISIONE: la seconda copia dell'audio sta in banca

## Contesto
12 ore di audio, 1,3 GB. Ersilia vuole due copie, una con le carte della casa; in rete no.

## Le strade
A. Secondo disco in casa, 60 €. B. Chiavetta in banca, 15 €. C. Servizio in rete, 3 € al mese.

## La scelta
**La strada B**: una chiavetta in banca, aggiornata ogni tre mesi.

## Perché
Un incendio in casa prenderebbe tutti e due i dischi, e in rete Ersilia non vuole andare.

## Chi ne paga il prezzo
Bianca: una mattina ogni tre mesi.

## Come ce ne accorgeremo
Il 1° settembre si ascoltano 5 minuti dalla chiavetta, prima di riportarla.""",
    "code-review": """Tre difetti:
1. Riga 3: giorno e notte sono scambiati, deve essere `17 if notte else 20`.
2. Riga 4: se non arriva nessuno `arrivo_ore` è None e il confronto fallisce; prima va `arrivo_ore is not None and`.
3. Riga 6: 6 gradi sono meno dei sette sotto cui gelano i tubi; la nota dice 9.""",
    "bug-analysis": """Dal registro è certo: il banco ha scritto '6', la lettura di Cascinalia '06'. La colonna è
TEXT, per lei sono due testi diversi, e il vincolo non scatta. Suppongo che lo zero venga dal calendario del
portale: da controllare.
Rimedio: camera INTEGER, o il numero normalizzato prima di scrivere, e una prova con '06'. Per 701 e 702 decide Agnese;
intanto nessun messaggio parte.""",
    "test-cases": """| arrivo | totale | anticipo | perché |
|---|---|---|---|
| 10 luglio 2026 | 100 € | 10,00 € | ultimo giorno al 10 |
| 11 luglio 2026 | 100 € | 25,00 € | primo giorno al 25 |
| 30 agosto 2026 | 100 € | 25,00 € | ultimo giorno al 25 |
| 31 agosto 2026 | 100 € | 10,00 € | di nuovo al 10 |
| 14 novembre 2026 | 156 € | 15,60 € | soggiorno vero |
| 8 agosto 2026 | 1.190 € | 297,50 € | soggiorno vero |
| 8 agosto 2026 | -1 € | errore | un totale negativo non esiste |""",
    "refactoring": f"""{FENCE}python
def anticipo(totale: float, giorno: date) -> float:
    alta_stagione = (7, 11) <= (giorno.month, giorno.day) <= (8, 30)
    return round(totale * (0.25 if alta_stagione else 0.10), 2)
{FENCE}""",
    "documentation": f"""# Che cosa fare se: una camera libera risulta occupata

1. Guarda sulla pagina /banco chi la occupa. Se è la prenotazione di un ospite, fermati e chiedi ad Agnese.
2. Vai al computer sotto la scala e scrivi questa riga, con la tua camera e la tua notte:
{FENCE}
./banco libera --camera 6 --notte 2026-08-09
{FENCE}
3. Riapri /banco: se la camera è verde, è andata bene.
4. Se non va, chiama Bianca.""",
    "api-review": """1. La più grave: nessuna chiave, quindi chiunque può togliere una prenotazione.
   Serve un accesso per chi scrive.
2. GET /libera cambia i dati: un lettore automatico che segue il collegamento libera la camera. Deve essere DELETE.
3. Gli errori rispondono 200: camera presa è 409, data impossibile 422.
4. Le date: 09/08/26 si legge in due modi, meglio 2026-08-09.
5. L'anticipo lo calcoli il sito, non chi chiama.""",
    "six-month-plan": """Restano 1.669 € (2.400 meno 731).

| Mese | Che cosa | Chi | Come ce ne accorgiamo |
|---|---|---|---|
| giugno | prova generale il 3 giugno, apertura l'8 giugno | Bianca, Nino | 20 prenotazioni entro il 30 |
| luglio | Cascinalia chiuso, si prenota solo da noi | Agnese | due domeniche libere |
| agosto | niente di nuovo | tutti | nessun doppio, due domeniche libere |
| settembre | il 30 settembre si contano gli abbandoni | Bianca | meno di 1 su 8, meno di 12 notti vuote |
| ottobre | notti contro il 2025 | Agnese | calo sotto un quarto |
| novembre | si riparla dei portali; stufe nella camera 3 | Agnese, Tullio | sacchi contati |

Non faremmo un'applicazione né prezzi che cambiano. Si rompe se Bianca si ammala a luglio.""",
    "major-architecture": """**Chi scrive dove.** Scrive una macchina sola, quella sotto la scala; un secondo mini
computer da 189 € riceve una copia ogni minuto e resta in sola lettura.

**Al peggio** si perde 1 minuto di prenotazioni, e 15 minuti per passare alla riserva a mano.

| Guasto | Che cosa succede | Chi |
|---|---|---|
| si rompe il computer | Bianca spegne il primo e apre la riserva | Bianca |
| manca la corrente | il gruppo di continuità regge 40 minuti | Tullio |

**Passi.** 1. La copia ogni minuto; si torna indietro spegnendola. 2. Il passaggio a mano; si torna indietro
riportando la copia. Due macchine che scrivono insieme non le propongo: due calendari veri
sono la notte del doppio 6.""",
}

BAD = {
    "summary": "La lettera settimanale funziona bene e ogni venerdì porta molte prenotazioni: continuiamo.",
    "commit-message": "Aggiornato il codice.",
    "file-status": "È approvata: la caparra è del 30 per cento e si può seguire tranquillamente come sempre.",
    "markdown": "- Bianca: rimborso\n- Agnese: inglese\n- Nino: allergeni\n- Cervella: avviso",
    "priorities": "1. Nino: allergeni\n2. Bianca: rimborso\n3. Agnese: inglese\n4. Cervella: avviso sull'acqua",
    "translation": "Per la camera chiediamo un deposit, e la colazione la domenica è alle 8:30.",
    "sncp-update": "Fatto, ho aggiornato la ripresa: il rimborso funziona e delle pagine ne mancano meno di prima.",
    "paths": ".sncp/progetti/memoria/decisioni/calendario-unico.md\n"
    ".sncp/ricerche/RICERCA_20260410_TRASCRIZIONE_VOCI.md\n.sncp/NORD.md",
    "snippet": "Ecco il codice:\n"
    "# (questo cancelletto è un errore di battitura lasciato apposta: in SQL non vale)\n"
    "CREATE TABLE notti (camera TEXT, notte TEXT);",
    "session-summary": "Si è parlato del rimborso, che funziona, e delle fotografie, che sono da rifare.",
    "workers": "Lo faccio fare a Martella: mette la pagina nel sito entro stasera.",
    "architecture-decision": "Userei il servizio in rete: costa 3 € al mese e non ci si pensa più.",
    "code-review": "La funzione è chiara e ben scritta. Aggiungerei soltanto un commento in cima.",
    "bug-analysis": "Probabilmente il vincolo non è stato creato: rifare la tabella e chiedere scusa agli ospiti.",
    "test-cases": "Proverei una data d'estate e una d'inverno, e guarderei se il risultato sembra giusto.",
    "refactoring": "La funzione si capisce già, io la lascerei com'è.",
    "documentation": "Se la camera risulta occupata, libera la notte dal server e controlla che sia andata bene.",
    "api-review": "Mi sembra semplice e comoda da usare: la lascerei così.",
    "six-month-plan": "Prima si apre il sito, poi si vede come va l'estate; in autunno si tirano le somme.",
    "major-architecture": "Metterei due computer uguali che prenotano tutti e due, così se uno si rompe c'è l'altro.",
}


@pytest.fixture(scope="module")
def suite() -> TaskSuite:
    return load_task_suite(Path(__file__).parents[2] / "examples" / "evaluation" / "tasks.yaml")


def judged(suite: TaskSuite, texts: dict[str, str]) -> list[Judged]:
    said = [Said(item=task.item, text=texts[task.item.id]) for task in suite.tasks if task.item.id in texts]
    return code_verdicts(said, contestant="candidate", checklist=None, tasks=suite)


def outcome(suite: TaskSuite, verdicts: Sequence[Judged], task: str) -> tuple[bool | None, str]:
    row = next(row for row in suite_result(verdicts, suite, trusted=False)["tasks"] if row["id"] == task)
    seen = "\n".join(f"{rule['points']} {rule['verdict']} {rule['what']}: {rule['why']}" for rule in row["rules"])
    return row["passed"], f"{row['points']}\n{seen}"


def test_they_are_the_owners_twenty_with_the_owners_numbers(suite: TaskSuite) -> None:
    assert [(task.item.tier, task.item.kind) for task in suite.tasks] == [
        *(("simple", name) for name in (
            "summary of a note", "commit message", "status of a file", "Markdown formatting", "list of priorities",
            "Italian to English", "SNCP update", "path resolution", "extraction of a code snippet", "session summary",
        )),
        *(("medium", name) for name in (
            "orchestrating workers", "architecture decision", "code review", "bug analysis", "test cases",
            "refactoring", "documentation", "API review",
        )),
        ("complex", "six-month plan"), ("complex", "major architecture"),
    ]  # fmt: skip
    assert suite.passing == {"simple": 4, "medium": 3, "complex": 3}
    assert suite.needed == {"simple": 8, "medium": 5}
    assert (suite.go, suite.conditional) == (15, 10)


def test_a_judge_gives_at_most_two_points_and_cannot_be_needed_to_pass(suite: TaskSuite) -> None:
    of_judge = {task.item.id: sum(rule.points for rule in task.rules if rule.ask) for task in suite.tasks}
    assert max(of_judge.values()) <= 2
    assert all(5 - of_judge[task.item.id] >= suite.passing[task.item.tier] for task in suite.tasks)
    assert sum(5 - points for points in of_judge.values()) >= 75


TASKS = sorted(GOOD)


def test_each_task_has_a_good_and_a_bad_answer(suite: TaskSuite) -> None:
    assert TASKS == sorted(BAD) == sorted(task.item.id for task in suite.tasks)


@pytest.mark.parametrize("task", TASKS)
def test_a_good_answer_passes_by_code_alone(suite: TaskSuite, task: str) -> None:
    passed, seen = outcome(suite, judged(suite, {task: GOOD[task]}), task)
    assert passed is True, seen
    assert " no " not in seen, seen


@pytest.mark.parametrize("task", TASKS)
def test_a_bad_answer_fails_whatever_a_judge_would_say(suite: TaskSuite, task: str) -> None:
    passed, seen = outcome(suite, judged(suite, {task: BAD[task]}), task)
    assert passed is False, seen


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("text", ["", " \n", "Non è nelle note."], ids=["empty", "blank", "not in the notes"])
def test_no_answer_and_the_set_phrase_earn_no_pass(suite: TaskSuite, task: str, text: str) -> None:
    passed, seen = outcome(suite, judged(suite, {task: text}), task)
    assert passed is False, seen


@pytest.mark.parametrize("task", TASKS)
def test_an_answer_that_repeats_the_prompt_fails(suite: TaskSuite, task: str) -> None:
    prompts = {task.item.id: task.item.prompt for task in suite.tasks}
    passed, seen = outcome(suite, judged(suite, {task: prompts[task]}), task)
    assert passed is not True, seen


@pytest.mark.parametrize(
    ("bad", "verdict"),
    [(0, "GO"), (2, "GO"), (3, "CONDITIONAL"), (10, "CONDITIONAL"), (11, "NO-GO"), (20, "NO-GO")],
)
def test_the_verdict_follows_the_number_that_pass(suite: TaskSuite, bad: int, verdict: str) -> None:
    ids = [task.item.id for task in suite.tasks]
    texts = {name: BAD[name] if number < bad else GOOD[name] for number, name in enumerate(ids)}
    result = suite_result(judged(suite, texts), suite, trusted=False)
    assert result["passed"] == [20 - bad, 20 - bad]
    assert result["verdict"] == verdict
    assert Counter(row["passed"] for row in result["tasks"]) == Counter({True: 20 - bad, False: bad})
