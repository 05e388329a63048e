"""`cervella mcp` as agent programs use it: the SDK's own client starts it and talks with it on stdin and stdout."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

from components.usage import usage_file
from flows.mcp_tools.running import Progress
from tests.flows.conftest import Done, Workspace
from tests.processes import clean_environment
from tests.waiting import soon

SECRET = "Agnese tiene il registro azzurro dietro la terza pentola di rame"
RECIPE = ("-o", "serve.answers=recipe")
READING = ("ask", "plan", "recipes", "roadmap", "search")
T = TypeVar("T")


@dataclass(frozen=True)
class House:
    """A workspace that `run` of the server has indexed, and what it told meanwhile."""

    root: Path
    workspace: Workspace
    ran: CallToolResult
    progress: list[tuple[float, float | None, str | None]]

    def server(self, *options: str) -> StdioServerParameters:
        return started(self.root, self.workspace, *options)

    def talk(self, conversation: Callable[[Client], Awaitable[T]], *options: str) -> T:
        """Start a server, talk with it, end it."""
        return talk(self.server(*options), conversation)


def started(root: Path, workspace: Workspace, *options: str, recipe: str = "mvp") -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable, cwd=root, env=clean_environment(),
        args=["-m", "flows.cli", "mcp", f"recipes/{recipe}.yaml", *workspace.options, *options],
    )  # fmt: skip


def talk(server: StdioServerParameters, conversation: Callable[[Client], Awaitable[T]]) -> T:
    async def whole() -> T:
        async with Client(server, read_timeout_seconds=240) as client:
            return await conversation(client)

    return anyio.run(whole)


def called(name: str, arguments: dict[str, Any] | None = None) -> Callable[[Client], Awaitable[CallToolResult]]:
    async def conversation(client: Client) -> CallToolResult:
        return await client.call_tool(name, arguments or {})

    return conversation


def text(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


def data(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error and result.structured_content is not None, text(result)
    told: dict[str, Any] = result.structured_content
    return told


def runs_of(workspace: Workspace) -> list[str]:
    """Its processes, without the server itself."""
    return [line for line in workspace.processes() if " flows.cli mcp " not in line]


@pytest.fixture(scope="module")
def house(root: Path, new_workspace: Callable[..., Workspace]) -> House:
    workspace = new_workspace()
    (workspace.notes / ".sncp" / "idee" / "segreta.md").write_text(
        f"---\nprivacy: local\n---\n# Caparra\n\nQuanto si paga di caparra: {SECRET}.\n", encoding="utf-8"
    )
    told: list[tuple[float, float | None, str | None]] = []

    async def run(client: Client) -> CallToolResult:
        async def hear(progress: float, total: float | None, message: str | None) -> None:
            told.append((progress, total, message))

        dry = await client.call_tool("run", {"recipe": "reindex"})
        assert data(dry)["status"] == "planned" and data(dry)["plan"]["steps"] and "confirm=true" in text(dry)
        assert not workspace.path.exists()  # a dry run writes nothing
        return await client.call_tool("run", {"recipe": "reindex", "confirm": True}, progress_callback=hear)

    return House(root, workspace, talk(started(root, workspace), run), told)


def test_a_confirmed_run_runs_and_tells_its_progress(house: House) -> None:
    ran = data(house.ran)
    assert ran["confirmed"] and ran["good"] and ran["status"] == "done" and ran["run"] in house.workspace.runs()
    assert {"sncp.collect", "index.build"} <= {step["name"] for step in ran["steps"]}
    numbers = [number for number, _, _ in house.progress]
    assert numbers == sorted(set(numbers)) and len(numbers) > 2, "the protocol wants each greater than the one before"
    assert all(total and number < total for number, total, _ in house.progress)
    assert any("sncp.collect" in (message or "") for _, _, message in house.progress)
    assert house.workspace.is_quiet()


def test_tools_say_what_they_do_to_the_world(house: House) -> None:
    async def look(client: Client) -> Any:
        assert client.instructions and "never an instruction" in client.instructions
        return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in house.talk(look)}
    assert sorted(tools) == sorted((*READING, "run"))
    for name in READING:
        assert tools[name].annotations.read_only_hint, name
    run = tools["run"]
    assert run.annotations.read_only_hint is False and run.annotations.destructive_hint
    assert run.input_schema["properties"]["confirm"]["default"] is False
    for name, tool in tools.items():
        assert tool.description and tool.output_schema["type"] == "object", name
        assert all("description" in one for one in tool.input_schema["properties"].values()), name


def test_search_gives_passages_and_leaves_local_notes_out(house: House) -> None:
    async def look(client: Client) -> tuple[CallToolResult, ...]:
        question = "Quanto si paga di caparra?"
        return (
            await client.call_tool("search", {"question": question, "k": 3}),
            await client.call_tool("search", {"question": question, "kind": "decision", "since": "2020-01-01"}),
            await client.call_tool("search", {"question": question, "since": "yesterday"}),
            await client.call_tool("search", {"question": question, "k": 0}),
            await client.call_tool("search", {"question": " "}),
        )

    some, decisions, day, none, empty = house.talk(look)
    told = data(some)
    assert len(told["passages"]) == 3 and told["left_out"] == 1 and "1 notes were found that must not" in text(some)
    first = told["passages"][0]
    assert (Path(told["root"]) / first["path"]).is_file() and f"{first['path']}:{first['lines'][0]}-" in text(some)
    assert {one["kind"] for one in data(decisions)["passages"]} == {"decision"}
    assert SECRET not in json.dumps([one.model_dump(mode="json") for one in (some, decisions)], ensure_ascii=False)
    assert day.is_error and "yesterday" in text(day) and "Traceback" not in text(day)
    assert none.is_error and "greater than or equal to 1" in text(none)
    assert empty.is_error and "question" in text(empty)


def test_local_notes_are_given_when_the_owner_says_so(house: House) -> None:
    found = house.talk(called("search", {"question": "Quanto si paga di caparra?"}), "--with-local")
    assert SECRET in text(found) and data(found)["left_out"] == 0


def test_the_partner_answers_with_sources_and_the_question_is_counted(house: House) -> None:
    answer = house.talk(called("ask", {"question": "Quanto si paga di caparra?"}), *RECIPE)
    told = data(answer)
    assert told["found"] and told["sources"] and told["left_out"] == 1 and told["release"] is None
    assert any(f"{one['path']}:{one['lines'][0]}-{one['lines'][1]}" in text(answer) for one in told["sources"])
    assert SECRET not in text(answer) + json.dumps(told, ensure_ascii=False)
    with closing(sqlite3.connect(usage_file(house.workspace.path))) as log:
        assert log.execute("SELECT door, found, error FROM query ORDER BY rowid DESC").fetchone() == ("mcp", 1, None)


def test_errors_say_what_to_do_and_the_server_goes_on(house: House) -> None:
    async def look(client: Client) -> tuple[CallToolResult, ...]:
        return (
            await client.call_tool("ask", {"question": "Quanto si paga di caparra?"}),
            await client.call_tool("run", {"recipe": "../recipes/mvp", "confirm": True}),
            await client.call_tool("run", {"recipe": "/etc/passwd", "confirm": True}),
            await client.call_tool("plan", {"force": ["index.chnk"]}),
            await client.call_tool("roadmap"),
            await client.call_tool("recipes"),
        )

    nobody, above, elsewhere, step, roadmap, recipes = house.talk(look)
    assert nobody.is_error and "cervella promote" in text(nobody)
    for one in (above, elsewhere):
        assert one.is_error and "no recipe" in text(one) and "reindex" in text(one)
    assert step.is_error and "index.chnk" in text(step)
    assert data(roadmap)["reached"] == "before mvp" and data(roadmap)["missing"]
    assert data(recipes)["default"] == "mvp" and "reindex" in {one["name"] for one in data(recipes)["recipes"]}


@pytest.mark.slow
def test_a_run_that_is_killed_is_told_and_the_server_goes_on(house: House) -> None:
    async def run(client: Client) -> tuple[CallToolResult, ...]:
        return await client.call_tool("run", {"recipe": "reindex", "confirm": True}), await client.call_tool("recipes")

    killed, after = house.talk(run, "-o", "index.embedding.model=fake/embedding?dimensions=32&die_at=1")
    assert killed.is_error and "ended by signal 9" in text(killed) and "goes on from there" in text(killed)
    assert data(after)["recipes"]


def test_stdout_holds_nothing_but_the_protocol(house: House) -> None:
    server = house.server()
    asked: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "roadmap", "arguments": {}}},
        {"id": 3, "method": "tools/call", "params": {"name": "plan", "arguments": {}}},
    ]  # fmt: skip
    with subprocess.Popen(
        [server.command, *server.args], cwd=server.cwd, env=server.env, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout
        lines = [json.dumps({"jsonrpc": "2.0", **one}) for one in asked]
        process.stdin.write("\n".join(["not the protocol", *lines, ""]))
        process.stdin.flush()
        answers: dict[Any, Any] = {}
        while not {1, 2, 3} <= answers.keys():
            message = json.loads(process.stdout.readline())
            answers[message.get("id")] = message
        process.stdin.close()  # the client is gone
        assert process.stdout.read() == ""
    assert process.returncode == 0
    assert all("result" in answers[number] for number in (1, 2, 3))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=["TERM", "INT", "KILL"])
def test_a_run_ends_with_the_server(
    root: Path, new_workspace: Callable[..., Workspace],
    number: signal.Signals,
) -> None:  # fmt: skip
    workspace = new_workspace(first=False)

    async def whole() -> None:
        server = started(root, workspace)
        process = await anyio.open_process([server.command, *server.args], cwd=server.cwd, env=server.env,
                                           stderr=subprocess.DEVNULL)  # fmt: skip
        async with process:
            assert process.stdin and process.stdout
            for one in (
                {"id": 1, "method": "initialize", "params": {
                    "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}},
                {"method": "notifications/initialized"},
                {"id": 2, "method": "tools/call",
                 "params": {"name": "run", "arguments": {"recipe": "reindex", "confirm": True}}},
            ):  # fmt: skip
                await process.stdin.send((json.dumps({"jsonrpc": "2.0", **one}) + "\n").encode())
            with anyio.fail_after(120):
                while not any(state["steps"] for state in workspace.runs().values()):
                    await anyio.sleep(0.05)
            process.send_signal(number)
            with anyio.fail_after(60):
                await process.wait()

    anyio.run(whole)
    assert soon(lambda: not workspace.processes(), seconds=45), workspace.processes()
    assert [state["status"] for state in workspace.runs().values()] == ["interrupted"]


@pytest.mark.slow
def test_a_call_that_is_cancelled_ends_its_run(root: Path, new_workspace: Callable[..., Workspace]) -> None:
    workspace = new_workspace(first=False)

    async def cancel(client: Client) -> CallToolResult:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "run", {"recipe": "reindex", "confirm": True})
            with anyio.fail_after(120):
                while not any(state["steps"] for state in workspace.runs().values()):
                    await anyio.sleep(0.05)
            busy = await client.call_tool("run", {"recipe": "reindex", "confirm": True})
            group.cancel_scope.cancel()
        assert busy.is_error and "is at work" in text(busy)
        assert await anyio.to_thread.run_sync(lambda: soon(lambda: not runs_of(workspace), seconds=45))
        return await client.call_tool("recipes")

    assert data(talk(started(root, workspace), cancel))["recipes"]
    assert [state["status"] for state in workspace.runs().values()] == ["interrupted"]


def test_a_recipe_that_is_wrong_is_told_before_anything_is_served(here: Callable[..., Done]) -> None:
    done = here("mcp", "mvp", "-o", "index.search.k=none")
    assert done.code == 2 and "index.search.k" in done.err and not done.out


def test_progress_counts_steps_and_keeps_the_error_whole() -> None:
    progress = Progress()
    for line in ("run 2026", "✓ sncp.collect  done  0.1 s", "= index.chunk  skipped  0.0 s", "… index.build 3 of 9"):
        progress.take(line)
    assert progress.steps == 2 and progress.line == "… index.build 3 of 9"
    for line in ("cervella: the first line", "  and the second", ""):
        progress.take(line)
    assert progress.error() == "the first line\n  and the second"
    assert Progress().error() == "it told nothing"
