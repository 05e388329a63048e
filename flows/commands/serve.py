"""The partner behind an endpoint: serve."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from components.errors import InputError, TerminalError, TransientError
from flows.commands.options import load, recipe_options

if TYPE_CHECKING:
    from components.recipe.model import Recipe
    from components.serve.desk import Desk
    from components.serve.http.keys import Keys
    from components.serve.http.schema import Scored
    from components.serve.http.work import Ended
    from components.serve.live import InService
    from components.serve.params import HelperParams
    from components.usage import UsageLog
    from components.usage.conversations import Conversations

_GRACE_SECONDS = 30.0  # for questions that are being answered when the end is asked for
_SETTLE_SECONDS = 3.0  # then, for their threads to hear of it and to write down what they took


@click.command("serve")
@recipe_options
@click.option("--host", metavar="ADDRESS", help="address that it listens on (default: serve.host)")
@click.option("--port", type=click.IntRange(0, 65535), help="port (default: serve.port); 0: any that is free")
@click.option("--unlisted", is_flag=True, hidden=True, help="a run of phase scale does not find it: it is its own")
def serve_command(
    recipe: str, overrides: tuple[str, ...], host: str | None, port: int | None, unlisted: bool
) -> int:  # fmt: skip
    """Answer as an endpoint that OpenAI's clients understand, until Ctrl-C.

    Whoever is in service answers; a promotion, a rollback or a published index is followed without a restart. Questions
    that are being answered at the end have 30 seconds.
    """
    from components.recipe.forget import asking_in
    from components.scale.endpoint import remove_endpoint, write_endpoint
    from components.serve.desk import NotInServiceError
    from components.serve.http.app import make_app
    from components.serve.http.server import address_of, bind, run
    from components.serve.live import InService
    from components.usage import UsageLog, usage_file
    from components.usage.conversations import Conversations, conversations_file
    from flows.backends import Backends
    from flows.comparing import compared
    from flows.serving import InRecipe, told_of

    loaded = load(recipe, overrides)
    serve, workspace, model = loaded.recipe.serve, loaded.recipe.workspace, loaded.recipe.registry.model_name
    host = serve.host if host is None else host
    keys = _keys(loaded.recipe, host=host)
    _log()
    backends = Backends(loaded) if serve.backend == "vllm" else None
    if backends:
        click.get_current_context().call_on_close(backends.close)  # also when it does not come up
    source = InRecipe(loaded, reload=lambda: load(recipe, overrides), backends=backends)
    live = InService(look=source.look, open_now=source.open_now, look_seconds=serve.look_seconds)
    try:
        live.start()
    except NotInServiceError as error:
        raise NotInServiceError(
            f"{error}, and cervella run {recipe} makes one. Without a release, as the recipe's files say now: "
            "-o serve.answers=recipe"
        ) from None
    log = UsageLog(usage_file(workspace))
    kept = Conversations(conversations_file(workspace)) if serve.keep_conversations else None
    try:
        desk, breakers = _desk(loaded.recipe, live, log)
        beside = compared(loaded, desk, live, backends=backends)
    except BaseException:
        live.close()
        raise
    compares = {"compare": beside.told} if serve.compare else {}
    try:
        app = make_app(
            beside.desk, limits=serve.limits, keys=keys, model=model,
            told=lambda: {**told_of(live, backends), **{name: told() for name, told in compares.items()}},
            record=_record(log, recipe=loaded.recipe.name, kept=kept), feedback=_feedback(log, workspace),
            held=lambda: asking_in(workspace), breakers=breakers,
        )  # fmt: skip
        wanted = serve.port if port is None else port
        listening = bind(host, wanted)
        has = listening.getsockname()[1]

        def ready() -> None:
            if not unlisted:
                with suppress(OSError):  # a run of phase scale cannot find it then, and starts one of its own
                    write_endpoint(workspace, url=address_of(listening), recipe=loaded.recipe.name)
            _tell(address_of(listening), wanted=wanted, has=has, model=model, keyed=bool(keys))

        run(app, listening, grace_seconds=_GRACE_SECONDS, ready=ready)
        app.settle(_SETTLE_SECONDS)
    finally:
        remove_endpoint(workspace)
        if backends:
            backends.hurry()  # whoever follows what is in service may wait for a server that comes up
        beside.close()
        live.close()
        log.close()
        if kept:
            kept.close()
    click.echo("Ended.")
    return 0


def _keys(recipe: Recipe, *, host: str) -> Keys:
    """The keys that are let in. Raises InputError where others than this machine could ask without one."""
    from components.hosts import is_loopback
    from components.serve.http.keys import Keys

    name = recipe.serve.keys_env
    if name is not None:
        return Keys.read(os.environ.get(name, ""), what=f"the environment variable {name} (serve.keys_env)")
    if not is_loopback(host):
        raise InputError(
            f"serve.host {host}: others than this machine would reach it, so it needs keys: name an environment "
            "variable that holds them with -o serve.keys_env=NAME"
        )
    return Keys({})


def _desk(recipe: Recipe, live: InService, log: UsageLog) -> tuple[Desk, Callable[[], Mapping[str, str]]]:
    """Who answers, and who of them is left alone now."""
    from components.serve.own_desk import OwnDesk
    from components.serve.router.breaker import Breaker
    from components.serve.router.classifier import Classifier
    from components.serve.router.helper import Helper
    from components.serve.router.hybrid import HybridDesk
    from components.serve.router.money import MonthMoney

    limits, router = recipe.serve.limits, recipe.serve.router
    chars, tokens = limits.question_chars, limits.history_tokens
    if router is None:
        return OwnDesk(live, max_chars=chars, history_tokens=tokens), dict

    money = MonthMoney(
        per_month_usd=router.per_month_usd, per_query_usd=recipe.llm.budget.per_query_usd,
        spent=lambda: log.helper_usd(f"{datetime.now(UTC):%Y-%m}"),
    )  # fmt: skip

    def model(params: HelperParams) -> Helper:
        made = Helper(
            params, money=money, cache=recipe.workspace / "cache" / "responses.sqlite" if recipe.llm.cache else None,
            trusted_hosts=recipe.privacy.trusted_hosts, temperature=recipe.llm.chat.temperature,
            seed=recipe.llm.chat.seed,
        )  # fmt: skip
        made.warm()
        return made

    classifier = None
    if asked := router.classifier:
        breaker = Breaker(**router.breaker.model_dump())
        classifier = Classifier(model(asked), breaker=breaker, seconds=asked.timeout_seconds)
    desk = HybridDesk(live, router=router, helper=model(router.helper), seconds=limits.seconds, max_chars=chars,
                      history_tokens=tokens, classifier=classifier)  # fmt: skip
    return desk, lambda: {str(who): state for who, state in desk.states().items()}


def _record(log: UsageLog, *, recipe: str, kept: Conversations | None) -> Callable[[Ended], object]:
    """Keeps each question in the usage log, as `ask` does; and what was said, where the recipe keeps conversations."""
    from components.serve.kept import keep_turn

    def record(ended: Ended) -> None:
        wanted, served, bill = ended.wanted, ended.served, ended.wanted.bill
        told: dict[str, Any] = {
            "door": "serve", "recipe": recipe, "question": wanted.question, "goes_on": wanted.goes_on,
            "conversation": None if wanted.conversation is None else wanted.talk,
            "seconds": ended.seconds, "first_token_seconds": ended.first_seconds, "request": wanted.id,
            "tier": bill.tier, "cost_usd": bill.cost_usd, "helper_usd": bill.helper_usd,
        }  # fmt: skip
        if served is None:
            log.record(**told, error=ended.fault)
            return
        answer, reply = served.asked.answer, served.asked.answer.reply
        told |= {
            "release": served.release, "search_seconds": served.asked.search_seconds, "found": answer.found,
            "sources": [source.path for source in answer.sources], "who": served.who, "side": served.side,
        }  # fmt: skip
        if reply is not None:
            told |= {
                "model": reply.model, "is_local": reply.is_local, "cached": reply.cached,
                "prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.completion_tokens,
            }  # fmt: skip
        log.record(**told)
        if kept:
            keep_turn(kept, wanted, served)

    return record


def _feedback(log: UsageLog, workspace: Path) -> Callable[[Scored], bool]:
    """Keeps what people say of an answer, masked, unless something is being forgotten."""
    from components.recipe.forget import asking_in
    from components.serve.masked import masked

    def keep(scored: Scored) -> bool:
        with ExitStack() as held:
            try:
                held.enter_context(asking_in(workspace))
            except TerminalError as error:
                raise TransientError(str(error)) from error
            text = None if scored.text is None else masked(scored.text)
            return log.feedback(scored.id, score=scored.score, comment=text)

    return keep


def _tell(url: str, *, wanted: int, has: int, model: str, keyed: bool) -> None:
    from components.services.supervisor.ports import who_has

    if wanted not in (0, has):
        click.echo(f"{wanted} was taken ({who_has(wanted)}).", err=True)
    bearer = " -H 'Authorization: Bearer KEY'" if keyed else ""
    click.echo(f"{model} answers at {url}/v1 (a page to talk with her: {url}/). For example:")
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Che cosa abbiamo deciso?"}}]}}'
    click.echo(f"  curl {url}/v1/chat/completions{bearer} -H 'Content-Type: application/json' -d '{body}'")
    click.echo("Ctrl-C ends it.")
    sys.stdout.flush()


def _log() -> None:
    """What happens is told on stderr, a line each; nothing of a question or an answer.

    Lines of the HTTP server are rare: anybody who reaches its port can cause them, before a key is asked for.
    """
    from components.serve.http.seldom import Seldom
    from components.store import logger

    def lines() -> logging.Handler:
        made = logging.StreamHandler()
        made.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        return made

    rare = lines()
    rare.addFilter(Seldom())
    for one, handler in (
        (logger, lines()),
        (logging.getLogger("uvicorn.error"), rare),
        (logging.getLogger("asyncio"), rare),
    ):
        one.addHandler(handler)
        one.setLevel(logging.WARNING)
        one.propagate = False
