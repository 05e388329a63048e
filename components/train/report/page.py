"""The page of a training: what was trained and what came of it, to look at; self-contained, readable on a phone.

Everything in it is foreign text: it is escaped by the template, hidden characters are written out, and a policy in the
page lets a browser run nothing and ask nobody. Texts of examples are masked as `components.sncp.redact` says; names and
addresses are not, so the page is for those who may see the dataset.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from components.page import STYLE as COMMON_STYLE
from components.page import fragment, one_line, render_page, segments
from components.train.job import Job
from components.train.report.curves import CURVE_STYLE, draw_curves, told_curves
from components.train.report.facts import Asked, TrainingReport, gather
from components.train.report.page_template import FILES, SETTINGS, STYLE, TEMPLATE
from components.train.report.shown import ShownExample, ShownTurn, Token
from components.train.report.text import duration, headline, mask_words, perplexity_words, size, what_was_done
from components.train.report.unchecked import unchecked
from components.train.running.masks import MaskAudit, RowMask
from components.train.running.outcome import Outcome

__all__ = ["page", "run_page"]

_OPEN = 3  # examples whose tokens are shown at once
_MOST_EFFECTIVE = 200_000  # characters
_STYLE = COMMON_STYLE + CURVE_STYLE + STYLE
_NAMES = {"train": "Training example", "validation": "Held-out example"}
_SIDES = {"train": "training", "validation": "held out"}


def run_page(
    folder: Path, job: Job, *, outcome: Outcome, environment: Mapping[str, Any],
    audits: Mapping[str, MaskAudit] | None = None,
) -> str:  # fmt: skip
    """The page of the training in the folder of a job; arguments as `gather` has them."""
    return page(gather(folder, job, outcome=outcome, environment=environment, audits=audits or {}))


def page(report: TrainingReport) -> str:
    """The report as HTML; the same for the same report."""

    def listed(found: Sequence[tuple[str, int, str]]) -> Markup:
        return fragment(FILES, found=[(one_line(name), size(count), digest) for name, count, digest in found])

    def compared(found: Sequence[Mapping[str, Any]]) -> Markup:
        return fragment(SETTINGS, found=found)

    settings = [_setting(one) for one in report.settings]
    differing = [one for one in settings if one["differs"]]
    warnings = list(_warnings(report))
    what, result = f"Training of {report.base}", headline(report.outcome)
    return render_page(
        TEMPLATE,
        title=f"{what}: {result}",
        style=_STYLE,
        what=what,
        headline=result,
        mood="bad" if warnings else "good" if report.helped else "",
        done=what_was_done(report.job, report.outcome),
        warnings=warnings,
        facts=list(_facts(report)),
        wide=draw_curves(report.curves, wide=True, name="wide"),
        narrow=draw_curves(report.curves, wide=False, name="narrow"),
        curves_say=_curves_say(report),
        masks=list(_masks(report)),
        examples=[_example(one, report, number) for number, one in enumerate(report.examples)],
        differing=differing,
        compared=compared,
        settings_say=_settings_say(report, len(differing)),
        settings=settings,
        effective=json.dumps(report.effective, indent=1, sort_keys=True, ensure_ascii=False)[:_MOST_EFFECTIVE],
        data=list(_data(report)),
        data_files=report.data,
        listed=listed,
        hardware=report.job.params.hardware,
        estimates=list(_estimates(report)),
        estimate_says=_estimate_says(report),
        environment=list(_environment(report)),
        files=report.files,
        unchecked=list(unchecked(report)),
    )  # fmt: skip


def _warnings(report: TrainingReport) -> Iterator[str]:
    if report.differences:
        yield f"The trainer did not do what was asked: {'; '.join(report.differences[:3])}"
    if report.masks_differ:
        yield "The trainer learnt other tokens than those that were audited: see what is learnt."
    if report.helped is False:
        yield "The adapter is no better than its base on what was held out."
    expected, found = report.outcome.expected_trainable_parameters, report.outcome.trainable_parameters
    if expected is not None and expected != found:
        yield f"The adapter has {found:,} parameters, the shape of the base asks for {expected:,}."


def _facts(report: TrainingReport) -> Iterator[tuple[str, str, str]]:
    outcome, measured = report.outcome, report.measured
    before = "" if outcome.base_eval_loss is None else f"base {outcome.base_eval_loss:.3f}"
    yield "held-out loss", f"{outcome.best_eval_loss:.3f}", before
    if measured:
        against = f"base {perplexity_words(measured.base).partition(' (')[0]}"
        yield "perplexity, measured by us", perplexity_words(measured.adapter).partition(" (")[0], against
        yield "against the base", *_split(perplexity_words(measured.ratio))
    else:
        yield "perplexity", f"{outcome.eval_perplexity:,.2f}", "of the held-out loss"
    yield "training loss", f"{outcome.mean_last_epoch_loss:.3f}", "mean of the last epoch"
    stopped = f"of {outcome.steps_asked:,}, stopped early" if outcome.stopped_early else ""
    yield "steps", f"{outcome.steps:,}", stopped
    yield "kept", f"step {outcome.best_step:,}", "lowest held-out loss"
    sittings = f"in {outcome.sittings} sittings" if outcome.sittings > 1 else ""
    yield "time", duration(outcome.seconds), sittings
    if outcome.tokens_per_second:
        yield "speed", f"{outcome.tokens_per_second:,.0f}", "tokens a second"
    expected = outcome.expected_trainable_parameters
    checked = "as the formula says" if expected == outcome.trainable_parameters else ""
    yield "parameters of the adapter", f"{outcome.trainable_parameters:,}", checked
    if outcome.peak_gpu_bytes:
        yield "GPU memory, highest", size(outcome.peak_gpu_bytes), ""
    yield "memory, highest", size(outcome.peak_memory_bytes), ""


def _split(words: str) -> tuple[str, str]:
    value, _, rest = words.partition(" (")
    return value, rest.rstrip(")")


def _curves_say(report: TrainingReport) -> str:
    text = told_curves(report.curves)
    if report.curves.before is None:
        text += " The trainer did not evaluate the base before it began."
    if report.measured:
        text += " The trainer's loss is a mean over batches; the perplexity that we measure weighs every token alike."
    if report.curves.sittings > 1:
        text += f" It was stopped and gone on with: {report.curves.sittings} sittings."
    return text


def _masks(report: TrainingReport) -> Iterator[tuple[str, bool]]:
    data = report.effective.get("data", {})
    tokens, trained = data.get("train_tokens"), data.get("train_trained_tokens")
    if isinstance(tokens, int) and isinstance(trained, int) and tokens:
        yield f"{trained:,} of {tokens:,} tokens of the training examples carry loss ({trained / tokens:.0%})", False
    for side, audit in report.audits.items():
        words = mask_words(side, rows=len(audit.rows), differing=len(audit.differing), compared=audit.compared)
        yield words, bool(audit.differing)
    if not report.audits:
        yield "the masks were not held against ours", False


def _example(example: ShownExample, report: TrainingReport, number: int) -> dict[str, Any]:
    row = _row_of(example, report)
    where = "" if row is None else f" (row {row.row + 1} of its file)"
    share = f" ({example.trained / example.count:.0%})" if example.count else ""
    audit = report.audits.get(example.side)
    same = "; as audited" if row and audit and audit.compared and row.difference is None else ""
    return {
        "title": f"{_NAMES[example.side]} {example.place + 1}{where}",
        "says": f"{example.trained:,} of {example.count:,} tokens carry loss{share}{same}",
        "bad": row.difference if row and row.difference else "",
        "open": number < _OPEN or bool(row and row.difference),
        "turns": [_turn(turn) for turn in example.turns],
    }


def _row_of(example: ShownExample, report: TrainingReport) -> RowMask | None:
    audit = report.audits.get(example.side)
    return audit.rows[example.place] if audit and example.place < len(audit.rows) else None


def _turn(turn: ShownTurn) -> dict[str, Any]:
    note = ""
    if turn.masked is not None:
        note = "This turn holds something that is masked: its text is shown, its tokens are only counted."
        tokens = _plain(turn.masked)
    else:
        gap = Markup("<b>… {:,} tokens …</b>").format(turn.left) if turn.left else Markup("")
        tokens = _runs(turn.tokens[: turn.before]) + gap + _runs(turn.tokens[turn.before :])
    return {
        "role": turn.role, "says": f"{turn.trained:,} of {turn.count:,} tokens carry loss", "tokens": tokens,
        "note": note,
    }  # fmt: skip


def _runs(tokens: Sequence[Token]) -> Markup:
    """Neighbours that carry loss share a mark."""
    drawn: list[Markup] = []
    begin = 0
    while begin < len(tokens):
        end = begin
        while end < len(tokens) and tokens[end].trained == tokens[begin].trained:
            end += 1
        inner = Markup("").join(Markup("<i>{}</i>").format(_plain(one.text)) for one in tokens[begin:end])
        drawn.append(Markup("<mark>{}</mark>").format(inner) if tokens[begin].trained else inner)
        begin = end
    return Markup("").join(drawn)


def _plain(text: str) -> Markup:
    """A foreign text, with what is not to be seen marked, ends of lines too."""
    pieces: list[Markup] = []
    for piece, odd in segments(text):
        if odd:
            pieces.append(Markup("<b>{}</b>").format(piece))
            continue
        lines = piece.split("\n")
        pieces.append(Markup("<b>↵</b>\n").join(escape(line) for line in lines))
    return Markup("").join(pieces)


def _settings_say(report: TrainingReport, differing: int) -> str:
    if differing:
        return f"{differing} of {len(report.settings)} settings are not as asked."
    return f"All {len(report.settings)} settings that were asked are what the trainer says that it uses."


def _setting(one: Asked) -> dict[str, Any]:
    asked, used = _value(one.asked), _value(one.used)
    return {"what": one.what, "asked": asked, "used": used, "path": one.path, "differs": one.differs}


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(sorted(map(str, value)))
    return one_line(value if isinstance(value, str) else json.dumps(value, default=str), longest=300)


def _data(report: TrainingReport) -> Iterator[dict[str, str]]:
    data = report.effective.get("data", {})
    for side, name in _SIDES.items():
        values = {key: data.get(f"{side}_{key}") for key in ("rows", "tokens", "trained_tokens", "longest")}
        shown = {key: f"{value:,}" if isinstance(value, int) else "?" for key, value in values.items()}
        yield {"side": name, **shown, "trained": shown["trained_tokens"]}


def _estimates(report: TrainingReport) -> Iterator[dict[str, str]]:
    found, outcome = report.estimate, report.outcome
    if found is None:
        return
    hours = outcome.seconds / 3600
    rows: list[tuple[str, tuple[float, float] | None, float | None, str]] = [
        ("hours", found.hours, hours, "h"),
        ("GPU memory", found.vram_gib, outcome.peak_gpu_bytes and outcome.peak_gpu_bytes / 2**30, "GiB"),
        ("memory", found.memory_gib, outcome.peak_memory_bytes / 2**30, "GiB"),
        ("parameters of the adapter", found.trainable and (float(found.trainable),) * 2,  # type: ignore[list-item]
         float(outcome.trainable_parameters), ""),
    ]  # fmt: skip
    for what, band, measured, unit in rows:
        if band is None:
            continue
        low, high = band
        inside = (
            "" if measured is None else "yes" if low <= measured <= high else "below" if measured < low else "above"
        )
        yield {
            "what": what, "estimated": _band(low, high, unit), "within": inside,
            "measured": "unknown" if measured is None else f"{_number(measured)} {unit}".strip(),
        }  # fmt: skip


def _band(low: float, high: float, unit: str) -> str:
    text = _number(low) if low == high else f"{_number(low)} to {_number(high)}"
    return f"{text} {unit}".strip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _estimate_says(report: TrainingReport) -> str:
    if report.estimate is None:
        return "There is no estimate: the shape of the base is not known."
    gpu = report.effective.get("model", {}).get("device")
    where = f" It was trained on the device {gpu}." if gpu else ""
    cost = report.estimate.usd
    dollars = f" At the prices of the table it would cost ${cost[0]:.2f} to ${cost[1]:.2f}." if cost else ""
    return f"The estimate is by formula, for {report.job.params.hardware}.{where}{dollars}"


def _environment(report: TrainingReport) -> Iterator[tuple[str, str]]:
    given = report.environment
    names = {
        "name": "trainer", "trainer_version": "version", "torch": "torch", "torch_digest": "digest of torch",
        "cuda": "built for NVIDIA GPUs", "lock": "SHA-256 of the lock",
    }  # fmt: skip
    for key, name in names.items():
        if given.get(key) not in (None, ""):
            yield name, _value(given[key])
    model = report.effective.get("model", {})
    for key in ("gpu", "device", "class", "dtype", "attention", "parameters"):
        if model.get(key) is not None:
            yield f"model: {key}", f"{model[key]:,}" if isinstance(model[key], int) else _value(model[key])
    packages = report.effective.get("packages", {})
    yield "packages", ", ".join(f"{name} {version}" for name, version in sorted(packages.items())) or "unknown"
