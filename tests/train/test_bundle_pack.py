"""What a bundle holds, what it must not hold, and what its script says of it on a machine that has nothing of ours."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from components.errors import TerminalError
from components.store import StepSpec, file_digest
from components.train.bundle.leaving import WORDS, check_rows_may_leave
from components.train.bundle.pack import BASE_BYTES, Bundle, check_size, pack
from components.train.environments.find import NAMES, lock_digest
from components.train.estimate.hardware import HARDWARE
from components.train.params import TrainParams
from components.train.trainers import trainer
from tests.train.jobs import make_job, small_params

SPEC = StepSpec("train.run", 1, {"trainer": "axolotl", "lock": lock_digest("axolotl")}, {"prepared": "1" * 64})
HUB: dict[str, Any] = {"model": "Qwen/Qwen3-0.6B", "folder": None}
ESTIMATE = ("on a T4: 12 to 30 minutes, $0 on Colab's free tier",)


def packed(folder: Path, params: TrainParams | None = None, *, model: Path | None = None, **more: Any) -> Bundle:
    make_job(folder / "job", params or small_params(base=HUB), model=model)
    return pack(
        folder / "job", out=folder / "out", spec=SPEC, recipe="smoke", version="0.1.0", estimate=ESTIMATE, **more
    )


def names_of(bundle: Bundle) -> list[str]:
    with zipfile.ZipFile(bundle.file) as archive:
        return archive.namelist()


def unzipped(bundle: Bundle, to: Path) -> Path:
    with zipfile.ZipFile(bundle.file) as archive:
        archive.extractall(to)
    return to / bundle.file.stem


def start(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Its script, by a Python that has nothing but its own library."""
    command = [sys.executable, "-I", "-S", str(folder / "train.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={"PATH": "/usr/bin:/bin"}, check=False
    )


def test_it_holds_all_that_a_training_needs_in_one_folder(tmp_path: Path) -> None:
    bundle = packed(tmp_path)
    top = f"train-smoke-{SPEC.fingerprint[:16]}"
    assert bundle.file.name == f"{top}.zip" and bundle.result == f"result-{SPEC.fingerprint[:16]}.tar.gz"
    inside = {f"job/inside/{path.name}" for path in (tmp_path / "job" / "inside").glob("*.py")}
    data = {f"job/data/{path.name}" for path in (tmp_path / "job" / "data").iterdir()}
    assert len(data) == 2 and "job/inside/child.py" in inside
    own = {"README.md", "train.py", "train.ipynb", "manifest.json", "requirements.lock", "requirements-uv.lock",
           "job/job.json", "job/config.yaml"}  # fmt: skip
    own |= {f"parts/{name}.py" for name in ("common", "install", "keeping", "result")}
    assert set(names_of(bundle)) == {f"{top}/{name}" for name in own | inside | data}


def test_the_manifest_tells_what_is_asked_and_the_digest_of_every_file(tmp_path: Path) -> None:
    folder = unzipped(packed(tmp_path), tmp_path / "there")
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["spec"] == SPEC.to_dict() and manifest["fingerprint"] == SPEC.fingerprint
    assert manifest["recipe"] == "smoke" and manifest["cervella"] == "0.1.0"
    assert manifest["trainer"]["lock"] == file_digest(folder / "requirements.lock") == lock_digest("axolotl")
    assert manifest["trainer"]["version"] == trainer("axolotl").VERSION
    there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    assert manifest["files"].keys() == there.keys() - {"manifest.json"}
    for name, entry in manifest["files"].items():
        assert entry == {"sha256": file_digest(there[name]), "bytes": there[name].stat().st_size}, name


def test_the_same_job_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    first, second = packed(tmp_path / "a"), packed(tmp_path / "b" / "deeper")
    assert first.file.read_bytes() == second.file.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_made_for_every_trainer(name: str, tmp_path: Path) -> None:
    gpu = {"hardware": "t4", "precision": "fp16", "optimizer": "adamw_8bit"} if name == "unsloth" else {}
    folder = unzipped(packed(tmp_path, small_params(base=HUB, trainer=name, **gpu)), tmp_path / "there")
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert (folder / "job" / "inside" / manifest["trainer"]["entry"]).is_file()
    assert (folder / "job" / trainer(manifest["trainer"]["name"]).CONFIG).is_file()
    assert bool(manifest["needs_gpu"]) == (name == "unsloth")


def test_nothing_of_this_machine_and_no_key_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home-of-anna-rossi"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_TOKEN", "hf_" + "secret" * 5)
    monkeypatch.setenv("USER", "anna-rossi")
    model = home / "models" / "mine"
    model.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (model / name).write_text("{}", "utf-8")
    params = small_params(base={"folder": str(model), "model": None})
    (home / "work").mkdir()
    make_job(home / "work" / "job", params.model_copy(update={"base": small_params().base}), model=model)
    bundle = pack(home / "work" / "job", out=tmp_path, spec=SPEC, recipe="smoke", version="0.1.0")
    folder = unzipped(bundle, tmp_path / "there")
    assert (folder / "job" / "model" / "config.json").is_file()
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for word in (b"anna-rossi", b"secretsecret", str(tmp_path).encode(), str(Path.cwd()).encode()):
                assert word not in data, f"{word!r} in {path.relative_to(folder)}"


def test_a_path_in_the_configuration_is_refused(tmp_path: Path) -> None:
    def name_a_file(texts: dict[str, str]) -> None:
        texts["config.yaml"] += f"special: {Path.home()}/tokens.json\n"

    make_job(tmp_path / "job", small_params(base=HUB), model=None, change=name_a_file)
    with pytest.raises(TerminalError, match=r"job/config\.yaml of the bundle would name a folder of this machine"):
        pack(tmp_path / "job", out=tmp_path / "out", spec=SPEC, recipe="smoke", version="0.1.0")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("size", "with_base", "refused"),
    [(0, False, False), (BASE_BYTES, False, False), (BASE_BYTES + 1, False, True), (BASE_BYTES * 9, True, False)],
    ids=["from the hub", "at the limit", "over it", "asked for"],
)
def test_a_large_base_model_travels_only_when_it_is_asked_for(size: int, with_base: bool, refused: bool) -> None:
    if refused:
        with pytest.raises(TerminalError, match="2.0 GB. Say --with-base"):
            check_size(size, with_base=with_base)
    else:
        check_size(size, with_base=with_base)


def test_the_readme_has_commands_for_each_place(tmp_path: Path) -> None:
    text = (unzipped(packed(tmp_path), tmp_path / "there") / "README.md").read_text("utf-8")
    for words in ("Runtime > Change runtime type > T4 GPU", "vastai create instance", "runpodctl pod create",
                  "python3 train.py", "cervella train unpack result-", "22 examples", ESTIMATE[0]):  # fmt: skip
        assert words in text
    assert "{" not in text.replace("{}", "")


@pytest.mark.parametrize("hardware", [name for name in HARDWARE if name != "cpu"])
def test_the_readme_names_the_gpu_of_the_recipe(hardware: str, tmp_path: Path) -> None:
    gpu = {"hardware": hardware, "precision": "fp16", "optimizer": "adamw_8bit"}
    text = (unzipped(packed(tmp_path, small_params(base=HUB, **gpu)), tmp_path / "x") / "README.md").read_text("utf-8")
    number = "".join(filter(str.isdigit, hardware.split("-")[0]))
    assert number in text.split("gpu_name=")[1].split(" ")[0]


def test_its_script_looks_with_nothing_but_python(tmp_path: Path) -> None:
    done = start(unzipped(packed(tmp_path), tmp_path / "there"), "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "smoke: Qwen/Qwen3-0.6B with axolotl" in done.stdout and "16 examples (6 held out), 8 steps" in done.stdout
    assert ESTIMATE[0] in done.stdout


def test_its_script_refuses_what_was_damaged_on_the_way(tmp_path: Path) -> None:
    folder = unzipped(packed(tmp_path), tmp_path / "there")
    config = folder / "job" / "config.yaml"
    config.write_text(config.read_text("utf-8").replace("learning_rate: 0.02", "learning_rate: 0.2"), "utf-8")
    done = start(folder, "--check")
    assert done.returncode == 1 and "job/config.yaml is missing, or not as it was packed" in done.stdout
    shutil.rmtree(folder / "parts")
    done = start(folder, "--check")
    assert done.returncode == 1 and "unzip the whole bundle again" in done.stderr


def test_its_script_says_when_a_gpu_is_needed_and_none_is_there(tmp_path: Path) -> None:
    params = small_params(base=HUB, hardware="t4", precision="fp16")
    done = start(unzipped(packed(tmp_path, params), tmp_path / "there"))
    assert done.returncode == 1 and "needs an NVIDIA GPU (train.precision is fp16)" in done.stdout


def test_its_notebook_is_one_and_its_cells_are_python(tmp_path: Path) -> None:
    folder = unzipped(packed(tmp_path), tmp_path / "there")
    notebook = json.loads((folder / "train.ipynb").read_text("utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["colab"]["gpuType"] == "T4" and notebook["metadata"]["accelerator"] == "GPU"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids) == 7
    for cell in notebook["cells"]:
        wanted = {"cell_type", "id", "metadata", "source"}
        wanted |= {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert cell.keys() == wanted
        assert all(line.endswith("\n") for line in cell["source"][:-1])
        if cell["cell_type"] == "code":
            compile("".join(cell["source"]), cell["id"], "exec")


class Note:
    """As much of a document as is looked at."""

    def __init__(self, path: str, text: str, *, local: bool) -> None:
        self.path, self.paths, self.text, self.local = path, (path, f"copy-of-{path}"), text, local


SECRET = "La password del conto corrente della nonna sta scritta dietro al quadro della sala da pranzo."
NOTES: Any = [
    Note("diario.md", SECRET, local=True),
    Note("open.md", "Si paga il trenta per cento di caparra.", local=False),
]


def row(answer: str, note: str | None = None) -> str:
    turns = [{"from": "human", "value": "?"}, {"from": "gpt", "value": answer}]
    return json.dumps({"conversations": turns, **({"provenance": {"note": note}} if note else {})})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (row("In riassunto: niente.", "diario.md"), r"b\.jsonl:7 \(from diario\.md\)"),
        (row("In riassunto: niente.", "copy-of-diario.md"), r"\(from copy-of-diario\.md\)"),
        (row("So che LA PASSWORD del conto corrente della nonna sta -- scritta dietro."), r"\(repeats diario\.md\)"),
    ],
    ids=["it says so", "it names a copy", "it repeats it"],
)
def test_a_row_of_a_local_note_is_named_and_nothing_is_packed(text: str, words: str) -> None:
    with pytest.raises(TerminalError, match=words) as caught:
        check_rows_may_leave([("a.jsonl:1", row("Ciao")), ("b.jsonl:7", text)], NOTES)
    assert "1 example of the dataset holds words of notes that must not leave this machine" in str(caught.value)
    assert "Nothing was packed" in str(caught.value)


def test_rows_of_other_notes_and_fewer_words_may_leave() -> None:
    few = " ".join(SECRET.split()[: WORDS - 1])
    check_rows_may_leave([("a", row(few)), ("b", row(NOTES[1].text, "open.md")), ("c", row("x", "gone.md"))], NOTES)
    check_rows_may_leave([("a", row(SECRET, "diario.md"))], [NOTES[1]])


def test_bundles_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    bundle = packed(tmp_path)
    before = hashlib.sha256(bundle.file.read_bytes()).hexdigest()
    data = next((tmp_path / "job" / "data").glob("train-*"))
    data.unlink()
    with pytest.raises(FileNotFoundError):
        pack(tmp_path / "job", out=tmp_path / "out", spec=SPEC, recipe="smoke", version="0.1.0", estimate=ESTIMATE)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [bundle.file.name]
    assert hashlib.sha256(bundle.file.read_bytes()).hexdigest() == before
