"""Sealed artefacts, step identity, runs, locks: how nothing is lost."""

from components.store.artefact import Artefact, content_digest, file_digest, write_manifest
from components.store.collector import imported, seldom_collecting
from components.store.files import sync_folder, write_atomic
from components.store.locks import FileLock, hold, is_held, tidy_locks
from components.store.log import AppendLog
from components.store.machine import bytes_in_words, machine_fault, machine_faults_told
from components.store.progress import (
    Pace,
    logger,
    progress_logger,
    progress_of,
    recorded_step,
    tell_progress,
    told_step,
)
from components.store.runs import Run, list_runs, read_runs
from components.store.spec import StepSpec, canonical_json, sha256_hex
from components.store.store import Step, Store
from components.store.unrun import leave_unrun

__all__ = [
    "AppendLog",
    "Artefact",
    "FileLock",
    "Pace",
    "Run",
    "Step",
    "StepSpec",
    "Store",
    "bytes_in_words",
    "canonical_json",
    "content_digest",
    "file_digest",
    "hold",
    "imported",
    "is_held",
    "leave_unrun",
    "list_runs",
    "logger",
    "machine_fault",
    "machine_faults_told",
    "progress_logger",
    "progress_of",
    "read_runs",
    "recorded_step",
    "seldom_collecting",
    "sha256_hex",
    "sync_folder",
    "tell_progress",
    "tidy_locks",
    "told_step",
    "write_atomic",
    "write_manifest",
]
