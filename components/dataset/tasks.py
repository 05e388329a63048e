"""Prefect's view of the dataset."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task

from components.dataset import steps, verdict
from components.dataset.corpus.leaks import Golden
from components.dataset.params import DatasetParams
from components.errors import is_transient
from components.llm import load_chat
from components.llm.params import LlmParams
from components.llm.spending import run_budget
from components.persona.steps import read_persona
from components.sncp.steps import read_documents
from components.store import Run, Store
from components.store.shown import show_markdown, show_table, shows_progress

__all__ = ["audit", "check", "gather", "generate", "split"]


@task(name="generate examples", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
@shows_progress
def generate(
    run: Run, params: DatasetParams, llm: LlmParams, *, notes: str, prompt: str, leave_out_local: bool = False,
    trusted_hosts: Sequence[str] = (),
) -> str | None:  # fmt: skip
    """Have examples written from notes; returns the artefact's id, or None when the recipe asks for none."""
    if not params.generate.per_note:
        return None
    store = Store(run.workspace)
    persona, _ = read_persona(store.open(prompt))
    judge = llm.judge or llm.chat
    chosen = steps.chosen_notes(params, read_documents(store.open(notes)))
    spec = steps.generate_spec(
        params, chosen, chat=llm.chat.sampled(), judge=judge.sampled(), persona=persona.text,
        leave_out_local=leave_out_local,
    )  # fmt: skip
    with run_budget(run, llm.budget) as left:
        models = [
            load_chat(
                **model.model_dump(), budget=left, trusted_hosts=trusted_hosts,
                cache=run.workspace / "cache" / "responses.sqlite" if llm.cache else None,
            )
            for model in (llm.chat, judge)
        ]  # fmt: skip
        made = steps.generate(
            run, params, chosen, spec=spec, chat=models[0], judge=models[1], budget=left, persona=persona.text,
            leave_out_local=leave_out_local,
        )  # fmt: skip
    report = made.read_json("generation.json")
    rows = [{"what": name, "value": str(value)} for name, value in report.items() if not isinstance(value, list)]
    show_table(run, "generation", rows, description="Examples written by a model, all to be reviewed")
    return made.id


@task(name="gather examples")
def gather(run: Run, params: DatasetParams, *, generated: str | None) -> str:
    """Bring all examples into one form; returns the artefact's id."""
    made = Store(run.workspace).open(generated) if generated else None
    return steps.gather_examples(run, params, generated=made).id


@task(name="check examples")
@shows_progress
def check(
    run: Run, params: DatasetParams, *, examples: str, notes: str, golden: Sequence[Golden]
) -> str:  # fmt: skip
    """Check every example where it was written; returns the artefact's id."""
    store = Store(run.workspace)
    checked = steps.check_dataset(
        run, params, examples=store.open(examples), golden=golden,
        notes=steps.note_hashes(read_documents(store.open(notes))),
    )  # fmt: skip
    markdown = (checked.path / "report.md").read_text(encoding="utf-8")
    page = f"\n\nThe page with all of it: `{checked.path / 'page.html'}`\n"
    show_markdown(run, "examples", markdown + page, description="What the check says of the examples")
    return checked.id


@task(name="split examples")
def split(run: Run, params: DatasetParams, *, examples: str, check: str) -> str:
    """Divide the examples into training and validation; returns the artefact's id."""
    store = Store(run.workspace)
    return steps.split_dataset(run, params, examples=store.open(examples), check=store.open(check)).id


@task(name="audit the dataset")
@shows_progress
def audit(
    run: Run, params: DatasetParams, *, name: str, examples: str, check: str, split: str, notes: str,
    golden: Sequence[Golden], generated: str | None = None,
) -> str:  # fmt: skip
    """Check what a trainer would get, record the verdict and show the card; returns the artefact's id."""
    store = Store(run.workspace)
    gathered, parts = store.open(examples), store.open(split)
    audited = verdict.audit_dataset(
        run, params, name=name, examples=gathered, split=parts, golden=golden,
        notes=steps.note_hashes(read_documents(store.open(notes))),
    )  # fmt: skip
    made = store.open(generated).read_json("generation.json") if generated else None
    run.update(dataset={
        **audited.read_json("verdict.json"), "waiting": gathered.facts["waiting"], "folder": str(parts.path),
        "page": str(store.open(check).path / "page.html"), "recipe_file": str(run.folder / "recipe.yaml"),
        "generation": made and {key: made[key] for key in ("notes", "examples", "lost", "reasons")},
    })  # fmt: skip
    text = (audited.path / "card.md").read_text(encoding="utf-8")
    asserted = (audited.path / "audit.md").read_text(encoding="utf-8")
    show_markdown(run, "dataset", f"{text}\n\n## Audit\n\n{asserted}", description="Dataset card")
    return audited.id
