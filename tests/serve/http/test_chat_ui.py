"""A ready-made chat page, Gradio's, as docs/serving.md says to start it: streams, sources, the conversation, no image.

It is no part of the project: it is installed for the test, over the project's own packages, where a registry has it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pytest

from components.answer.partner import Partner
from components.serve.desk import Desk, Served, Wanted
from components.serve.own_desk import OwnDesk
from tests.browser import Tab, installed, tab
from tests.serve.http.conftest import PIECES, Answers, up
from tests.serve.router_house import EASY, One, chat

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GRADIO = "gradio==6.31.0"
STARTED = "import gradio; gradio.load_chat('{url}/v1/', model='cervella', token='none', file_types=None).launch()"
HOSTILE = "Cento euro [1]. ![stato](http://evil.example/a.png?d=1) <img src='http://evil.example/b.png'> Fine."
BOX = "document.querySelector('textarea')"


@dataclass
class OneAfterTheOther:
    """The first question goes to the first desk, all others to the second."""

    first: Answers
    second: Desk

    def stream(self, wanted: Wanted) -> Iterator[str | Served]:
        yield from (self.second if self.first.begun else self.first).stream(wanted)

    def ask(self, wanted: Wanted) -> Served:
        raise AssertionError("the endpoint takes streams")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Python that has Gradio beside what this one has."""
    folder = tmp_path_factory.mktemp("gradio")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)  # noqa: S603
    [site] = folder.glob("lib/python*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    (site / "here.pth").write_text("\n".join(here))
    found = folder / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", found, "install", "-q", GRADIO]
    done = subprocess.run(install, capture_output=True, text=True, timeout=600)  # noqa: S603
    if done.returncode:
        why = done.stderr.strip().splitlines() or ["?"]
        pytest.skip(f"{GRADIO} cannot be installed: {why[-1][:200]}")
    yield found
    shutil.rmtree(folder)


def ask(page: Tab, text: str) -> None:
    page.click(BOX)
    page.type(text)
    page.click("document.querySelector('button.submit-button')", until=f"{BOX}.value === ''")


def test_gradio_talks_with_the_endpoint(partner: Partner, python: Path, tmp_path: Path) -> None:
    browser = installed()
    if browser is None:
        pytest.skip("no Chromium is installed")
    own = OwnDesk(
        One(replace(partner, chat=chat(f"fake/chat?reply={quote(HOSTILE)}"))), max_chars=8000, history_tokens=1000
    )
    first = Answers(waits_at=2)
    variables = {**os.environ, "HOME": str(tmp_path), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    with up(OneAfterTheOther(first, own), seconds=300) as here:
        command = [python, "-u", "-c", STARTED.format(url=here.url)]
        with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as gradio:  # noqa: S603
            try:
                assert gradio.stdout is not None
                url = next(line.split()[-1] for line in gradio.stdout if "Running on local URL" in line)
                with tab(browser, tmp_path / "profile") as page:
                    page.open(url, width=900)
                    ask(page, "Quanto è la caparra?")
                    page.wait(f"document.body.innerText.includes({PIECES[1].strip()!r})")  # while it is answered
                    assert "[1]" not in page.text() and not first.wanted[0].whole
                    first.until.set()
                    page.wait('document.body.innerText.includes("[1] note/caparra d\'agosto.md:3-7")')

                    ask(page, EASY)
                    page.wait("document.body.innerText.includes('[1] decisioni/caparra.md:')")
                    assert "Cento euro [1]." in page.text() and "evil.example" not in page.text()
                    assert not [one for one in page.requests() if not one.startswith((url, "data:", "blob:"))]
            finally:
                gradio.terminate()
        [_, second] = [ended.wanted for ended in here.ended]
    assert [turn["role"] for turn in second.history] == ["user", "assistant"]
    assert second.history[1]["content"] == "".join(PIECES).strip() and second.talk == first.wanted[0].talk
