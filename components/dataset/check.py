"""Files of conversations -> a report: every rule on every row, in one pass, with the rows never all in memory.

While the tokenizer works on a batch in a thread of its own (it lets other Python run), the rules read the same batch.
What the corpus as a whole says (duplicates, leaks, shape) comes last.

**Not caught**: whether an answer is true, whether it follows from its note, whether it sounds like the partner; that is
for people (`cervella data review`) and for the evaluation of what was trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from components.dataset.checks.italian import italian_hits
from components.dataset.checks.language import language_hits, language_of_answers
from components.dataset.checks.private import ALL_PERSONAL_DATA, private_hits
from components.dataset.checks.provenance import provenance_hits, provenance_of, stage_of
from components.dataset.checks.structure import structure_hits
from components.dataset.checks.text import text_hits
from components.dataset.checks.tokens import Measured, Measurer
from components.dataset.checks.tool_calls import tool_hits
from components.dataset.checks.trainers import trainer_hits
from components.dataset.conversation import Conversation
from components.dataset.corpus.corpus import Corpus
from components.dataset.corpus.leaks import Golden
from components.dataset.files.rows import ReadRow, Rows, read_all
from components.dataset.findings import Finding, Hit, Severity
from components.dataset.params import PersonalDatum, TemplateName
from components.dataset.report import MOST_OF_A_RULE, CheckedFile, Report, RowFacts
from components.dataset.rules import RULES, placed
from components.errors import InputError
from components.store import seldom_collecting

__all__ = ["check_files"]

_BATCH = 256  # rows: enough for the tokenizer to share among processors, little to hold
_SHOWN_ID = 64  # characters

Progress = Callable[[int, int], None]
"""(bytes done, bytes in all)"""


@seldom_collecting()
def check_files(
    paths: Sequence[Path],
    *,
    template: TemplateName = "qwen3",
    max_tokens: int = 2048,
    min_tokens: int = 16,
    feminine: bool = True,
    personal_data: Collection[PersonalDatum] = ALL_PERSONAL_DATA,
    allow: Sequence[str] = (),
    severities: Mapping[str, str] | None = None,
    targets: Mapping[str, int] | None = None,
    golden: Sequence[Golden] = (),
    held_out: Sequence[Path] = (),
    known_notes: Mapping[str, str] | None = None,
    origins: Sequence[tuple[str, int | None]] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check files of conversations, together as one corpus.

    Args:
        paths: JSONL, a JSON array or one object, in any format that `formats` knows.
        template: tokenizer and chat template of the base model.
        max_tokens: longest conversation that is trained whole.
        min_tokens: shorter ones are told.
        feminine: the partner speaks of herself in the feminine.
        personal_data: kinds that are told.
        allow: secrets and personal data to leave alone: exact texts or globs.
        severities: rule -> error, warning, info or off, instead of the rule's own.
        targets: stage -> examples that it should have; None: stages are not looked at.
        golden: questions that no example may hold.
        held_out: files of conversations that no example may be like.
        known_notes: path -> content hash of the notes as they are now; None: not compared.
        origins: (file, line) of each row, where messages shall name other places than those in `paths`.
        progress: told how far the check is.

    Raises:
        InputError: a file is not there, cannot be read, or is named twice; a row of what is held out cannot be read.
    """
    if not paths:
        raise InputError("no file to check; expected at least one file of conversations")
    check = _Check(
        measurer=Measurer(template=template, max_tokens=max_tokens, min_tokens=min_tokens),
        corpus=Corpus(
            targets=targets, golden=golden, names=[str(path) for path in paths],
            held_out=((str(path), one) for path in held_out for one in read_all(path)), origins=origins,
        ),
        collector=_Collector(severities or {}),
        rules=[
            structure_hits, tool_hits, text_hits, language_hits,
            lambda one: italian_hits(one, feminine=feminine),
            lambda one: private_hits(one, personal_data=personal_data, allow=allow),
            lambda one: provenance_hits(one, known_notes=known_notes),
        ],
    )  # fmt: skip
    sizes = [_size(path, paths) for path in paths]
    with ThreadPoolExecutor(max_workers=1) as pool:
        for number, path in enumerate(paths):
            check.file(number, path, pool=pool, progress=_of_all(progress, sum(sizes[:number]), sum(sizes)))
    return check.report(
        settings={
            "template": template, "max_tokens": max_tokens, "min_tokens": min_tokens, "feminine": feminine,
            "personal_data": sorted(personal_data), "severities": dict(severities or {}), "golden": len(golden),
            "held_out": [str(path) for path in held_out], "notes_compared": known_notes is not None,
        },
        max_tokens=max_tokens,
    )  # fmt: skip


@dataclass(slots=True)
class _Row:
    """What is known of a row so far."""

    file: int
    line: int
    index: int
    id: str | None = None
    stage: str | None = None
    source: str | None = None
    language: str | None = None
    turns: int = 0
    tokens: int | None = None
    trainable: int | None = None
    rules: tuple[str, ...] = ()

    def describe(self, conversation: Conversation, numbers: Measured) -> None:
        if isinstance(conversation.id, str | int):
            self.id = str(conversation.id)[:_SHOWN_ID]
        self.stage, self.source = stage_of(conversation), provenance_of(conversation).note
        self.turns = len(conversation.turns or ())
        self.tokens, self.trainable = numbers.tokens, numbers.trainable

    def breaks(self, rule: str) -> None:
        if rule not in self.rules:
            self.rules += (rule,)

    def facts(self) -> RowFacts:
        order = list(RULES)
        return RowFacts(
            self.file, self.line, self.index, self.id, self.stage, self.source, self.language, self.turns,
            self.tokens, self.trainable, tuple(sorted(self.rules, key=order.index)),
        )  # fmt: skip


class _Collector:
    """Findings with their places, counted without end and kept up to a bound for each rule."""

    def __init__(self, severities: Mapping[str, str]) -> None:
        self._severities = severities
        self.findings: list[Finding] = []
        self.counts: Counter[tuple[str, Severity]] = Counter()
        self._kept: Counter[str] = Counter()

    def add(self, hit: Hit, *, file: str, line: int | None = None, conversation: int | None = None) -> bool:
        """Whether it is told at all."""
        severity: Any = self._severities.get(hit.rule) or hit.severity or RULES[hit.rule].severity
        if severity == "off":
            return False
        self.counts[hit.rule, severity] += 1
        self._kept[hit.rule] += 1
        if self._kept[hit.rule] <= MOST_OF_A_RULE:
            self.findings.append(placed(hit, file=file, line=line, conversation=conversation, severity=severity))
        return True


RowRule = Callable[[Conversation], Iterable[Hit]]


@dataclass
class _Check:
    """A check at work."""

    measurer: Measurer
    corpus: Corpus
    collector: _Collector
    rules: Sequence[RowRule]
    files: list[CheckedFile] = field(default_factory=list)
    rows: list[_Row] = field(default_factory=list)

    def file(self, number: int, path: Path, *, pool: ThreadPoolExecutor, progress: Callable[[int], None]) -> None:
        rows, waiting = Rows(path), None
        for batch in _batches(iter(rows)):
            measuring = pool.submit(self.measurer.measure, [read.conversation for read in batch if read.conversation])
            told = [self._told(read) for read in batch]
            if waiting:  # the batch before: taken in while the tokenizer is at work on this one
                self._take(number, path, *waiting)
            waiting = (batch, told, measuring)
            progress(batch[-1].row.offset + batch[-1].row.length)
        if waiting:
            self._take(number, path, *waiting)
        for hit, line in rows.hits:
            self.collector.add(hit, file=str(path), line=line)
        self.files.append(rows.file)

    def _take(
        self, number: int, path: Path, batch: Sequence[ReadRow], told: Sequence[tuple[list[Hit], str | None]],
        measuring: Future[list[Measured]],
    ) -> None:  # fmt: skip
        measured = iter(measuring.result())
        for read, (hits, language) in zip(batch, told, strict=True):
            known = _Row(number, read.row.line, read.row.index, language=language)
            self.rows.append(known)
            if read.conversation is not None:
                hits += self._described(known, read.conversation, next(measured))
                hits += trainer_hits(read.conversation, hits)
            for hit in hits:
                if self.collector.add(hit, file=str(path), line=known.line, conversation=known.index):
                    known.breaks(hit.rule)

    def _told(self, read: ReadRow) -> tuple[list[Hit], str | None]:
        """What the rules say of a row, and the language of its answers: one after the other, as they share a glance."""
        hits, conversation = list(read.hits), read.conversation
        if conversation is None:
            return hits, None
        for rule in self.rules:
            hits += rule(conversation)
        return hits, language_of_answers(conversation)

    def _described(self, known: _Row, conversation: Conversation, numbers: Measured) -> Sequence[Hit]:
        known.describe(conversation, numbers)
        self.corpus.add(
            conversation, file=known.file, language=known.language, tokens=numbers.tokens, trainable=numbers.trainable
        )
        return numbers.hits

    def report(self, *, settings: dict[str, Any], max_tokens: int) -> Report:
        places = {(row.file, row.index): row for row in self.rows}
        for file, line, index, hit in self.corpus.finish():
            told = self.collector.add(hit, file=self.files[file].path, line=line, conversation=index)
            if told and index is not None:
                places[file, index].breaks(hit.rule)
        files = {file.path: place for place, file in enumerate(self.files)}
        found = sorted(
            self.collector.findings,
            key=lambda one: (files[one.file], -1 if one.conversation is None else one.conversation),
        )
        return Report(
            files=self.files, findings=found, rows=[row.facts() for row in self.rows], counts=self.collector.counts,
            settings=settings, statistics=self.corpus.statistics(max_tokens=max_tokens),
        )  # fmt: skip


def _batches(rows: Iterator[ReadRow]) -> Iterator[list[ReadRow]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


def _of_all(progress: Progress | None, before: int, total: int) -> Callable[[int], None]:
    def tell(done: int) -> None:
        if progress:
            progress(min(before + done, total), total)  # what a gzipped file unpacks to is more than its size

    return tell


def _size(path: Path, paths: Sequence[Path]) -> int:
    if paths.count(path) > 1:
        raise InputError(f"{path}: named twice; each of its rows would be a duplicate of itself")
    try:
        return path.stat().st_size
    except OSError:
        return 0  # the reader says what is wrong
