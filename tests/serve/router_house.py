"""A partner on five notes, one of which must not leave this machine, and a desk with a router over her."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from components.answer import AnswerParams
from components.answer.partner import Partner
from components.index import Index, SearchParams, chunk_documents
from components.llm import Budget, load_chat, load_embedder
from components.persona import PersonaParams
from components.persona.steps import compile_texts, persona_texts
from components.serve.desk import Opened, Served, Wanted
from components.serve.params import HelperParams, RouterParams
from components.serve.router.breaker import Breaker
from components.serve.router.classifier import Classifier
from components.serve.router.helper import Helper
from components.serve.router.hybrid import HybridDesk
from components.serve.router.money import MonthMoney
from components.sncp import Document
from components.sncp.collect import collect

NOTES = {
    "decisioni/caparra.md": "# Caparra\n\nLa caparra ad agosto costa cento euro.\n",
    "decisioni/hosting.md": "# Hosting\n\nIl contratto di hosting scade a maggio.\n",
    "decisioni/logo.md": "# Logo\n\nIl logo nuovo ha il colore verde.\n",
    "decisioni/orari.md": "# Orari\n\nLa riunione di lunedì comincia alle nove.\n",
    "decisioni/segreti.md": "# Cassaforte\n\nLa cassaforte sta dietro il quadro grande.\n",
}
LOCAL = "decisioni/segreti.md"
HELPER = "fake/chat?cost=0.01&reply=Aiuto [1]"
OWN = "fake/chat?reply=Mia [1]"
EASY, MIDDLE, HARD = "Quando costa la caparra?", "Perché costa la caparra?", "Perché costa? Confronta la caparra"
LONG = " ".join(f"parola{number}" for number in range(100))  # the guard holds back the beginning of an answer


def make_partner(folder: Path, examples: Path) -> Partner:
    """On a real index, with a double that is replaced."""
    for name, text in NOTES.items():
        _write(folder, name, text)
    persona = PersonaParams(
        constitution=examples / "persona" / "COSTITUZIONE.md", dna=examples / "persona" / "DNA_FAMIGLIA.md",
        session=None, max_tokens=1500,
    )  # fmt: skip
    index, documents = _publish(folder, persona)
    prompt, session = compile_texts(persona, persona_texts(persona, root=folder / "sncp", documents=documents))
    return Partner(
        index=index, search=SearchParams(k=2), prompt=prompt, session=session, chat=chat(OWN), params=AnswerParams(),
        budget=Budget(per_run_usd=1, per_query_usd=1),
    )  # fmt: skip


def write_note(folder: Path, name: str, text: str, *, local: Sequence[str] = (LOCAL,)) -> None:
    """Write a note, and publish it in the index of a partner that was made in this folder."""
    _write(folder, name, text)
    _publish(folder, None, local=local)


def _write(folder: Path, name: str, text: str) -> None:
    path = folder / "sncp" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _publish(
    folder: Path, persona: PersonaParams | None, *, local: Sequence[str] = (LOCAL,)
) -> tuple[Index, list[Document]]:
    documents = collect(
        root=folder / "sncp", sources={}, include=["**/*.md"], exclude=[], max_bytes=10**6, redact="redact",
        persona_files=persona.files if persona else [], local=list(local),
    ).documents  # fmt: skip
    embedder = load_embedder(model="fake/embedding", cache=folder / "embeddings.sqlite")
    assert embedder is not None
    index = Index.open(folder / "index", embedder)
    index.sync(chunk_documents(documents, max_tokens=200, breadcrumbs=True, count_tokens=embedder.count_tokens))
    return index, list(documents)


def chat(model: str, *, max_tokens: int = 200, budget: Budget | None = None) -> Any:
    """A double."""
    return load_chat(
        model=model, temperature=0, max_tokens=max_tokens, context_tokens=8192, timeout_seconds=30, retries=0, seed=1,
        budget=budget,
    )  # fmt: skip


@dataclass
class One:
    """One partner in service, for good; counts who uses her."""

    partner: Partner
    release: str | None = "a" * 64
    users: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def use(self) -> Iterator[Opened]:
        with self.lock:
            self.users += 1
            self.most = max(self.most, self.users)
        try:
            yield Opened(partner=self.partner, release=self.release, index="i" * 64)
        finally:
            with self.lock:
                self.users -= 1


def desk(
    partner: Partner, *, own: str = OWN, helper: str = HELPER, spent: Callable[[], float] = lambda: 0.0,
    seconds: float = 20.0, clock: Callable[[], float] | None = None, per_query_usd: float = 1.0, **router: Any,
) -> HybridDesk:  # fmt: skip
    """A desk with a router: doubles, the recipe's rules, and `router` for what is not by default."""
    params = RouterParams.model_validate({"helper": HelperParams(model=helper), **router})
    money = MonthMoney(per_month_usd=params.per_month_usd, per_query_usd=per_query_usd, spent=spent)
    classifier = None
    if there := params.classifier:
        breaker = Breaker(**params.breaker.model_dump())
        classifier = Classifier(Helper(there, money=money), breaker=breaker, seconds=there.timeout_seconds)
    return HybridDesk(
        One(replace(partner, chat=chat(own))), router=params, helper=Helper(params.helper, money=money),
        seconds=seconds, max_chars=8000, history_tokens=1000, classifier=classifier,
        **({"clock": clock} if clock else {}),
    )  # fmt: skip


def wanted(question: str, **more: Any) -> Wanted:
    """A question of a conversation of its own."""
    return Wanted(**{"id": "r1", "question": question, **more})


def streamed(desk: Any, question: str, **more: Any) -> tuple[list[str], Served]:
    """The pieces, without empty ones, and the answer."""
    *pieces, served = desk.stream(wanted(question, **more))
    assert isinstance(served, Served)
    return [piece for piece in pieces if piece], served
