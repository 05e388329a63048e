"""Sealed artefacts, step identity, runs, locks: how nothing is lost."""

from components.store.artefact import Artefact, content_digest, file_digest
from components.store.files import write_atomic
from components.store.locks import FileLock, hold, is_held
from components.store.progress import logger, progress_of, recorded_step, told_step
from components.store.runs import Run, list_runs
from components.store.spec import StepSpec, canonical_json, sha256_hex
from components.store.store import Step, Store

__all__ = [
    "Artefact",
    "FileLock",
    "Run",
    "Step",
    "StepSpec",
    "Store",
    "canonical_json",
    "content_digest",
    "file_digest",
    "hold",
    "is_held",
    "list_runs",
    "logger",
    "progress_of",
    "recorded_step",
    "sha256_hex",
    "told_step",
    "write_atomic",
]
