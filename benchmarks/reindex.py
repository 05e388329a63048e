"""What a reindex costs when little or nothing changed: seconds of each stage, and ratios to reading the files alone.

    python -m benchmarks.reindex                    # 10,000 generated notes
    python -m benchmarks.reindex --notes-count 500  # fewer
    python -m benchmarks.reindex --length 5450      # all of the median length of real ones
    python -m benchmarks.reindex --notes DIR        # one's own notes, copied first
    python -m benchmarks.reindex --curve            # one changed among 1,250, 2,500, 5,000, 10,000: how it grows

The notes are generated from a seed: lengths and structure as in real ones (half are shorter than 5 kB, a tenth longer
than 25 kB), Italian words. Embeddings are those of `fake/embedding`, so that what is measured is the work around the
model. Each scenario runs in a process of its own, with the code that a run uses, without Prefect.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.drawing import Line, lines

SEED = 13
WORDS = (
    "il la un una di del della con per tra che non come più ogni anche quando dove se ma poi già ancora sempre nota "
    "decisione idea progetto lavoro giorno settimana mese anno cliente camera prenotazione prezzo stagione caparra "
    "listino ospite cucina cantina giardino fornitore contratto fattura pagamento scadenza bilancio costo ricavo "
    "squadra riunione verbale proposta scelta motivo rischio vantaggio limite soluzione problema causa effetto misura "
    "prova risultato errore versione modello archivio memoria indice ricerca domanda risposta fonte pagina capitolo "
    "sezione tabella elenco riga colonna valore numero data ora mattina sera estate inverno primavera autunno mare "
    "montagna strada casa porta finestra luce acqua fuoco terra aria cielo sole luna vento pioggia neve città paese "
    "scegliere decidere aprire chiudere scrivere leggere trovare cercare perdere tenere dare prendere fare dire andare "
    "venire restare partire arrivare cambiare crescere ridurre aumentare verificare confermare rimandare annullare "
    "nuovo vecchio grande piccolo chiaro scuro lento veloce semplice difficile giusto sbagliato primo ultimo diretto"
).split()
# Length of a note in characters at 0, 10, ... 100 % of a real collection.
LENGTHS = (600, 1850, 2600, 3300, 4200, 5450, 7450, 11500, 17800, 25700, 60000)
FOLDERS = (".sncp/idee", ".sncp/memoria/decisioni", "docs/ricerche", "progetti/alba/note", "progetti/brezza/note")
MODEL = "fake/embedding"
ROUNDS = 5  # of a curve


def note(rng: random.Random, number: int, length: int | None = None) -> str:
    """One note: title, header, then sections with prose, lists, tables and code, up to `length` or a drawn one."""
    at = rng.random() * (len(LENGTHS) - 1)
    low, high = LENGTHS[int(at)], LENGTHS[int(at) + 1]
    target = length or low + (high - low) * (at - int(at))
    day = f"{rng.randint(2023, 2026)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    state = rng.choice(("attivo", "in corso", "completato"))
    lines = [f"# {words(rng, 5)} {number}", "", f"**Data:** {day}", f"**Stato:** {state}", ""]
    size = sum(map(len, lines))
    while size < target:
        block = [f"{'#' * rng.choice((2, 2, 3))} {words(rng, rng.randint(2, 6))}", ""]
        for _ in range(rng.randint(1, 4)):
            block += [*rng.choice((prose, prose, bullets, table, code))(rng), ""]
        lines += block
        size += sum(map(len, block)) + len(block)
    return "\n".join(lines) + "\n"


def words(rng: random.Random, count: int) -> str:
    """Some words, the first with a capital."""
    return " ".join(rng.choices(WORDS, k=count)).capitalize()


def prose(rng: random.Random) -> list[str]:
    """A paragraph."""
    return [f"{words(rng, rng.randint(6, 18))}." for _ in range(rng.randint(1, 4))]


def bullets(rng: random.Random) -> list[str]:
    """A list."""
    return [f"- **{words(rng, 2)}**: {words(rng, rng.randint(3, 12))}" for _ in range(rng.randint(2, 8))]


def table(rng: random.Random) -> list[str]:
    """A table."""
    rows = [f"| {words(rng, 2)} | {words(rng, 4)} | {rng.randint(1, 999)} |" for _ in range(rng.randint(2, 9))]
    return ["| Voce | Descrizione | Valore |", "| --- | --- | --- |", *rows]


def code(rng: random.Random) -> list[str]:
    """A block of code."""
    return ["```python", *(f"{rng.choice(WORDS)} = {rng.randint(0, 99)}" for _ in range(rng.randint(2, 10))), "```"]


def generate(root: Path, count: int, length: int | None = None) -> None:
    """Write `count` notes under `root`, of `length` characters or of drawn lengths."""
    rng = random.Random(SEED)  # noqa: S311
    for number in range(count):
        file = root / FOLDERS[number % len(FOLDERS)] / f"{number % 97:02}" / f"NOTA_{number:05}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(note(rng, number, length), encoding="utf-8")


def notes_of(root: Path) -> list[Path]:
    """All notes, sorted."""
    return sorted(root.rglob("*.md"))


def change(root: Path, files: Sequence[Path], number: int) -> None:
    """Add a paragraph to these notes."""
    for file in files:
        with file.open("a", encoding="utf-8") as opened:
            opened.write(f"\n## Aggiunta {number}\n\nUna riga nuova per la misura numero {number} di {file.stem}.\n")


def scenarios(root: Path) -> list[tuple[str, Callable[[], None]]]:
    """Name -> what is done to the notes before the reindex."""
    files = notes_of(root)
    rng = random.Random(SEED + 1)  # noqa: S311
    one, gone, *_ = some = rng.sample(files, max(3, len(files) // 100))
    return [
        ("first", lambda: None),
        ("nothing changed", lambda: None),
        ("one changed", lambda: change(root, [one], 1)),
        ("one changed again", lambda: change(root, [one], 2)),
        ("one deleted", gone.unlink),
        ("1 % changed", lambda: change(root, some[2:] + [one], 3)),
    ]


def reindex(root: Path, workspace: Path) -> dict[str, Any]:
    """A whole reindex in this process; seconds of each stage."""
    laps: dict[str, float] = {}
    processor: dict[str, float] = {}
    at, used = time.perf_counter(), time.process_time()

    def lap(name: str) -> None:
        nonlocal at, used
        now, spent = time.perf_counter(), time.process_time()
        laps[name], processor[name] = now - at, spent - used
        at, used = now, spent

    from components.index import steps as index
    from components.index.lance import lancedb
    from components.index.params import EmbeddingParams, IndexParams
    from components.sncp import steps as sncp
    from components.sncp.params import SncpParams
    from components.store import Run, Store, recorded_step

    lap("import cervella")
    floor_bytes = floor(root)
    lap("floor: read and hash")
    params = SncpParams(root=root, include=["**/*.md"])
    indexed = IndexParams(embedding=EmbeddingParams(model=MODEL))
    run = Run.create(workspace, recipe="bench", phase="reindex")
    lap("run")
    collection = sncp.read_notes(params, persona_files=[], workspace=workspace)
    lap("read, clean, redact, describe")
    with recorded_step(run, sncp.collect_spec(params, collection)) as step:
        if not step.sealed:
            sncp.write_notes(step, collection)
    notes = step.artefact
    lap("seal notes")
    chunks = index.chunk_notes(run, indexed, notes=notes)
    lap("chunk and seal")
    found = Store(workspace).find(index.build_spec(indexed, chunks=chunks.digest))
    if found is None or not index.is_published(found, uri=workspace / "index"):
        lancedb()  # the sync needs it; without a change nothing does
        lap("import lancedb")
    built = index.build_index(run, indexed, chunks=chunks, root=root)
    lap("sync")
    own = sum(value for name, value in laps.items() if not name.startswith(("import", "floor")))
    base = laps["floor: read and hash"]
    return {
        "seconds": {name: round(value, 3) for name, value in laps.items()},
        "processor seconds": {name: round(value, 3) for name, value in processor.items()},
        "ratio to floor": {name: round(value / base, 2) for name, value in laps.items()},
        "own seconds": round(own, 3),
        "with imports": round(own + laps["import cervella"] + laps.get("import lancedb", 0.0), 3),
        "own processor seconds": round(
            sum(value for name, value in processor.items() if not name.startswith(("import", "floor"))), 3
        ),
        "processor seconds with imports": round(
            time.process_time() - processor["floor: read and hash"], 3
        ),  # and the start of Python
        "notes": notes.facts["notes"],
        "chunks": chunks.facts["chunks"],
        "embedded": built.facts["embedded"] if not run.read()["steps"][-1]["status"] == "skipped" else 0,
        "bytes of notes": floor_bytes,
        "peak MB": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1e6)
        ),
    }


def floor(root: Path) -> int:
    """Read and hash all files, nothing else; how many bytes."""
    total, folders = 0, [os.fspath(root)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.name.endswith(".md"):
                    with open(entry.path, "rb") as file:
                        data = file.read()
                    hashlib.sha256(data).digest()
                    total += len(data)
    return total


def written(workspace: Path) -> int:
    """Bytes of the workspace on disk, each file once however many links it has."""
    seen: dict[int, int] = {}
    for path in workspace.rglob("*"):
        if path.is_file():
            about = path.stat()
            seen[about.st_ino] = about.st_blocks * 512
    return sum(seen.values())


def child(root: Path, workspace: Path) -> dict[str, Any]:
    """`reindex` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.reindex", "--child", str(root), str(workspace)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Exit code 0: done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reindex", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--notes-count", type=int, default=10_000, help="how many are generated (default: %(default)s)")
    parser.add_argument("--length", type=int, help="characters of each generated note (default: as in real ones)")
    parser.add_argument("--notes", type=Path, help="folder with Markdown notes, instead of generated ones")
    parser.add_argument("--folder", type=Path, help="where notes and workspace lie (default: a temporary folder)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as well")
    parser.add_argument("--curve", action="store_true", help="one changed note among ever more, up to --notes-count")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="of --curve: draw it there as well")
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        print(json.dumps(reindex(*options.child)))
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root, workspace = Path(folder) / "notes", Path(folder) / "workspace"
        if options.curve:
            report = curve(Path(folder), options.notes_count, options.length)
            if options.svg:
                options.svg.write_text(drawn(report["points"]), encoding="utf-8")
            if options.json:
                options.json.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            return 0
        if options.notes:
            shutil.copytree(options.notes, root, copy_function=shutil.copyfile)
        else:
            generate(root, options.notes_count, options.length)
        report = measure(root, workspace)
    if options.json:
        options.json.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(root: Path, workspace: Path) -> dict[str, Any]:
    """All scenarios, one after the other; printed as they come."""
    report: dict[str, Any] = {}
    before = 0
    for name, prepare in scenarios(root):
        prepare()
        found = child(root, workspace)
        now = written(workspace)
        found["written MB"] = round((now - before) / 1e6, 1)
        before = now
        report[name] = found
        seconds = found["seconds"]
        ratio = found["own seconds"] / seconds["floor: read and hash"]
        print(
            f"{name}: own work {found['own seconds']:.2f} s ({ratio:.1f} x floor), with imports "
            f"{found['with imports']:.2f} s ({found['processor seconds with imports']:.2f} s of a processor); "
            f"{found['embedded']} embedded of {found['chunks']} chunks of "
            f"{found['notes']} notes; {found['written MB']} MB more on disk, {found['peak MB']} MB of memory\n  "
            + ", ".join(
                f"{stage} {value:.2f} ({found['processor seconds'][stage]:.2f})" for stage, value in seconds.items()
            ),
            flush=True,
        )
    return report


def curve(folder: Path, most: int, length: int | None) -> dict[str, Any]:
    """One changed note among an eighth, a quarter, half and all of so many; the same for nothing changed and the first.

    The sizes take turns, so that whatever else the machine does meets all of them alike. Of each the least of ROUNDS is
    given, which is disturbed least, and the middle one. `loads`: of the machine before each round.
    """
    counts = (most // 8, most // 4, most // 2, most)
    place = {count: (folder / str(count) / "notes", folder / str(count) / "workspace") for count in counts}
    first = {}
    for count, (root, workspace) in place.items():
        generate(root, count, length)
        first[count] = child(root, workspace)
    files = {count: notes_of(root) for count, (root, _) in place.items()}
    still: dict[int, list[dict[str, Any]]] = {count: [] for count in counts}
    once: dict[int, list[dict[str, Any]]] = {count: [] for count in counts}
    loads = []
    for turn in range(ROUNDS):
        loads.append(round(os.getloadavg()[0], 1))
        for count, (root, workspace) in place.items():
            still[count].append(child(root, workspace))
            change(root, [files[count][turn * count // ROUNDS]], turn)
            once[count].append(child(root, workspace))
    points = [
        {
            "notes": count, "chunks": once[count][-1]["chunks"], "bytes": once[count][-1]["bytes of notes"],
            "first": _processor(first[count]), "first, peak MB": first[count]["peak MB"],
            "nothing changed": min(map(_processor, still[count])), "one changed": min(map(_processor, once[count])),
            "one changed, middle": sorted(map(_processor, once[count]))[ROUNDS // 2],
            "one changed, wall": min(found["with imports"] for found in once[count]),
            "peak MB": max(found["peak MB"] for found in once[count]),
            "stages": min(once[count], key=_processor)["processor seconds"],
        }
        for count in counts
    ]  # fmt: skip
    slopes = {
        name: [
            round((after[name] - before[name]) / (after["notes"] - before["notes"]) * 1000, 3)
            for before, after in zip(points, points[1:], strict=False)
        ]
        for name in ("nothing changed", "one changed", "one changed, middle")
    }
    report = {"points": points, "loads": loads, "seconds of a processor for 1,000 notes more": slopes}
    print(json.dumps(report, indent=1))
    return report


def _processor(found: dict[str, Any]) -> float:
    return float(found["processor seconds with imports"])


def drawn(points: Sequence[dict[str, Any]]) -> str:
    """The curve as a picture (SVG): seconds of a processor over notes, with a straight line through first and last."""
    told = [
        Line(name, [(point["notes"], point[name]) for point in points]) for name in ("one changed", "nothing changed")
    ]
    return lines(told, unit="s", about="notes; seconds of a processor for a whole reindex, start of Python included")


if __name__ == "__main__":
    sys.exit(main())
