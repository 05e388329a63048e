"""`cervella`: the same doors as the Prefect UI, from a terminal.

Exit codes: 0 done and good; 1 done, and the answer is no; 2 the recipe, the arguments or a file cannot be
understood; 3 it could not be done; 130 interrupted (Ctrl-C), 143 and 129 ended by SIGTERM or SIGHUP (the terminal was
closed), in the same way: what is under way is left as a kill would leave it, and recorded as interrupted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

import click

from components.errors import CervellaError
from components.store import imported, machine_fault

# name -> (module, line of help). The help is here so that `cervella --help` imports no command.
COMMANDS = {
    "init": ("init", "Look at your own notes and write a first recipe for them"),
    "recipes": ("recipes", "List the recipes of a folder"),
    "schema": ("recipes", "Print, write or check the JSON schema of recipes"),
    "validate": ("recipes", "Check a recipe: all faults at once, with file:line:col"),
    "explain": ("recipes", "Where each value of a recipe comes from"),
    "plan": ("plan", "What a run would do, step by step, and why"),
    "run": ("run", "Run a recipe"),
    "reindex": ("run", "Bring the index of a recipe up to date with its notes"),
    "search": ("ask", "Find the notes that speak of something"),
    "ask": ("ask", "Ask the partner a question; the answer names its sources"),
    "serve": ("serve", "Answer at an endpoint that OpenAI's clients understand, and on a page"),
    "mcp": ("mcp", "Let an agent program search, ask, plan and run (Model Context Protocol)"),
    "score": ("score", "Score the published index, and the answers, on golden questions"),
    "label": ("label", "Judge answers yourself, blind: how far the judge of a recipe can be believed"),
    "compared": ("compared", "What the endpoint compared: the release in service and the candidate, side by side"),
    "promote": ("champion", "Take the newest release into service; it obeys the gate, or a reason"),
    "rollback": ("champion", "Take the release before back into service"),
    "roadmap": ("roadmap", "Where you stand: phase, triggers of fine-tuning, costs, decision, risks"),
    "data": ("data", "Conversations for training: check any file of them, review them"),
    "train": ("train", "Training: how fast this machine is, and training elsewhere"),
    "backends": ("backends", "Programs that serve a model, each in an environment of its own: list, install"),
    "trainers": ("trainers", "Programs that train, each in an environment of its own: list, install"),
    "index": ("index", "The published index: status"),
    "runs": ("past", "List the runs of a workspace, newest first"),
    "show": ("past", "Show one run: steps, scorecard, gate"),
    "diff": ("diff", "Compare two runs, or a run and a recipe"),
    "gc": ("keep", "Remove what no kept run, no release and no published index needs"),
    "forget": ("keep", "Remove a note, or a secret, from everything that a workspace keeps"),
    "up": ("up", "Have Prefect, MLflow and workers in the background, and keep them alive"),
    "down": ("up", "End what `up` started"),
    "worker": ("worker", "Work for the Prefect server of another machine, in the foreground"),
    "deploy": ("deploy", "Bring what prefect.yaml says to the Prefect server: deployments, schedules, recipes"),
    "doctor": ("doctor", "What is wrong with this installation and an index, and how to mend it"),
}

GROUPS = {
    "To begin": ("init", "doctor"),
    "The recipe language": ("recipes", "schema", "validate", "explain"),
    "Running": ("plan", "run", "reindex"),
    "Asking": ("search", "ask", "serve", "backends", "mcp", "score"),
    "Deciding": ("label", "compared", "promote", "rollback", "roadmap"),
    "Training": ("data", "train", "trainers"),
    "In the background": ("up", "down", "worker", "deploy"),
    "What there is": ("index", "runs", "show", "diff", "gc", "forget"),
}
"""How `--help` shows them; a command that is in no group comes last."""

# Telemetry stays off, and no library asks the network for anything that was not asked of it. Threads that wait sleep.
# Set before any import; what the user has set stays.
ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_WAIT_POLICY": "passive",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


class Doors(click.Group):
    """A group that imports a command only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, in the order of a user's day."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module = imported(f"flows.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, with the nearest name when there is no such command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else "; `cervella --help` lists them"
            raise click.UsageError(f"no command '{args[0]}'{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table, in groups."""
        grouped = {name for names in GROUPS.values() for name in names}
        rest = tuple(name for name in COMMANDS if name not in grouped)
        width = max(map(len, COMMANDS))
        for title, names in (*GROUPS.items(), ("More", rest)):
            if names:
                with formatter.section(title):
                    formatter.write_dl([(f"{name:<{width}}", COMMANDS[name][1]) for name in names])


@click.group(cls=Doors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option("0.1.0", prog_name="cervella")
def cli() -> None:
    """A personal AI partner from your project's Markdown memory: one YAML recipe per run."""


ENDED: list[int] = []  # the signal (SIGTERM, SIGHUP) that ends this process, once it has come


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a terminal that closes tells it more than once; kill -9 always works
    ENDED.append(number)
    raise KeyboardInterrupt(signal.Signals(number).name)


def _say(what: object) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone
        click.echo(f"cervella: {what}", err=True)


def main() -> None:
    """Entry point: runs a command and turns its errors into a message and an exit code."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # `nohup` has it ignored, and it stays so
            signal.signal(number, _end)
    sys.exit(_run())


def _run() -> int:
    try:
        code = cli.main(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except BaseException as error:  # of SystemExit, too, the code is what matters
        if ENDED or isinstance(error, KeyboardInterrupt | click.Abort):
            _say("interrupted; what was sealed is kept, the same command goes on from there")
            return 128 + ENDED[0] if ENDED else 130
        return _told(error)


def _told(error: BaseException) -> int:
    """Tell an error; returns the exit code for it."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 0
    if isinstance(error, CervellaError):
        _say(error)
        return error.exit_code
    if isinstance(error, click.ClickException):
        error.show()
        return 2
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if fault := machine_fault(error, Path.cwd()):  # a full disk, no right to write: not the program's fault
        _say(fault)
    elif isinstance(error, OSError):
        _say(f"{error.filename}: {error.strerror}" if error.filename else error)
    else:  # a fault of ours: told whole, and never with the exit code of an answer that is no
        traceback.print_exception(error)
    return 3


if __name__ == "__main__":
    main()
