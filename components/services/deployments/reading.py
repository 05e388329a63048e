"""prefect.yaml, strictly: what Prefect would ignore or notice too late is a fault here, each at file:line:col.

Prefect itself ignores keys that it does not know, does not look at the parameters of schedules, and stops in the middle
of a file at parameters that do not fit. Here everything is read first, and nothing is sent while there is a fault.
Of Prefect's own file these parts are known: name, deployments, and definitions, which Prefect leaves to anchors; what
`definitions.work_pools` lists is made on the server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from components.evaluate.suite.reading import Reader, is_id, near
from components.services.deployments.form import read_forms
from components.services.deployments.model import (
    CollisionStrategy,
    Deployment,
    Form,
    Limit,
    PrefectFile,
    Schedule,
    WorkPool,
)
from components.services.deployments.values import Values, check_parameters, plain, table

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

__all__ = ["read_prefect_file"]

_TOP = ("name", "definitions", "deployments")
_DEPLOYMENT = (
    "name", "description", "entrypoint", "work_pool", "parameters", "tags", "concurrency_limit", "schedules",
)  # fmt: skip
_SCHEDULE = ("slug", "cron", "timezone", "active", "parameters")
_POOL_TYPES = ("process",)


def read_prefect_file(path: Path) -> PrefectFile:
    """Read prefect.yaml and import the flows that it names.

    Raises:
        InputError: everything that is wrong with it, each at file:line:col.
        TerminalError: the flows could not be looked at.
    """
    value: PrefectFile = Reader(path, "file of deployments").read(lambda reader, root: _File(reader).read(root))
    return value


@dataclass
class _Draft:
    """A deployment before its flow was looked at."""

    keys: dict[str, Node]
    where: Node
    parameters: Values
    schedules: list[tuple[Node, dict[str, Node], Values]]


class _File:
    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.deployments: dict[str, int] = {}

    def read(self, root: Node | None) -> PrefectFile:
        keys = self.reader.mapping(root, "prefect.yaml", _TOP, ("name", "definitions", "deployments"))
        name = self.reader.text(keys["name"], "name") if "name" in keys else ""
        pools = self.pools(keys.get("definitions"))
        drafts = [self.draft(node) for node in self.entries(keys, "deployments")]
        wanted = {str(draft.keys["entrypoint"].value) for draft in drafts if "entrypoint" in draft.keys}
        forms = read_forms(sorted(filter(None, wanted)), folder=self.reader.path.resolve().parent)
        found = [self.deployment(draft, forms=forms, pools=[pool.name for pool in pools]) for draft in drafts]
        return PrefectFile(name=name, work_pools=pools, deployments=tuple(one for one in found if one))

    def entries(self, keys: dict[str, Node], name: str) -> list[Node]:
        return list(self.reader.entries(keys[name], name)) if name in keys else []

    def pools(self, node: Node | None) -> tuple[WorkPool, ...]:
        definitions = dict(self.pairs(node, "definitions"))
        if node is not None and "work_pools" not in definitions:
            self.reader.fault(node, "definitions: 'work_pools' is missing; expected the pools that deployments name")
        return tuple(
            self.pool(name, pool) for name, pool in self.pairs(definitions.get("work_pools"), "definitions.work_pools")
        )

    def pairs(self, node: Node | None, what: str) -> list[tuple[str, Node]]:
        """Names and values of a mapping whose keys are free; each name once."""
        from ruamel.yaml.nodes import MappingNode

        if node is None:
            return []
        names = (
            [key.value for key, _ in node.value if isinstance(key.value, str)] if isinstance(node, MappingNode) else []
        )
        return list(self.reader.mapping(node, what, names or ["a name"], ()).items())

    def pool(self, name: str, node: Node) -> WorkPool:
        what = f"work pool {name!r}"
        if not is_id(name):
            self.reader.fault(node, f"{what}: expected a name of letters, digits, '_', '-' and '.', at most 100")
        keys = self.reader.mapping(node, what, ("type", "description", "concurrency_limit"), ("type",))
        return WorkPool(
            name=name,
            type=self.reader.choice(keys["type"], f"{what}: type", _POOL_TYPES) if "type" in keys else "",
            description=self.reader.text(keys["description"], f"{what}: description")
            if "description" in keys
            else None,
            concurrency_limit=self.number(keys, "concurrency_limit", what, least=1),
        )

    def number(self, keys: dict[str, Node], name: str, what: str, *, least: int) -> int | None:
        return self.reader.number(keys[name], f"{what}: {name}", least=least) if name in keys else None

    def draft(self, node: Node) -> _Draft:
        keys = self.reader.mapping(node, "deployment", _DEPLOYMENT, ("name", "entrypoint", "work_pool"))
        if "name" in keys:
            self.reader.name(keys["name"], "deployment", self.deployments)
        name = _name(keys)
        for key in ("entrypoint", "description"):
            if key in keys and not self.reader.text(keys[key], f"{name}: {key}"):
                del keys[key]
        schedules, slugs = [], dict[str, int]()
        for entry in self.entries(keys, "schedules"):
            found = self.reader.mapping(entry, f"{name}: schedule", _SCHEDULE, ("slug", "cron", "timezone"))
            if "slug" in found:
                self.reader.name(found["slug"], f"{name}: schedule", slugs)
            schedules.append((entry, found, self.table(found, f"{name}: parameters of the schedule")))
        return _Draft(keys, node, self.table(keys, f"{name}: parameters"), schedules)

    def table(self, keys: dict[str, Node], what: str) -> Values:
        return table(self.reader, keys["parameters"], what) if "parameters" in keys else {}

    def deployment(self, draft: _Draft, *, forms: dict[str, Form | str], pools: list[str]) -> Deployment | None:
        keys = draft.keys
        name = _name(keys)
        form = self.form(keys.get("entrypoint"), name, forms)
        pool, variables = self.work_pool(keys.get("work_pool"), name, pools)
        if form:
            check_parameters(self.reader, draft.parameters, form, f"{name}: parameters")
        limit = self.limit(keys.get("concurrency_limit"), name)
        tags = self.reader.texts(keys["tags"], f"{name}: tags") if "tags" in keys else ()
        schedules = tuple(
            self.schedule(*one, name=name, form=form, defaults=draft.parameters) for one in draft.schedules
        )
        if form is None:
            return None
        return Deployment(
            name=name,
            description=str(keys["description"].value) if "description" in keys else form.description,
            entrypoint=str(keys["entrypoint"].value),
            work_pool=pool,
            job_variables=variables,
            parameters={key: value for key, (_, _, value) in draft.parameters.items()},
            tags=tags,
            limit=limit,
            schedules=schedules,
            form=form,
        )

    def form(self, node: Node | None, name: str, forms: dict[str, Form | str]) -> Form | None:
        if node is None:
            return None
        found = forms.get(str(node.value))
        if isinstance(found, str):
            self.reader.fault(node, f"{name}: the flow {node.value!r} cannot be imported: {found}")
        return found if isinstance(found, Form) else None

    def work_pool(self, node: Node | None, name: str, pools: list[str]) -> tuple[str, dict[str, Any]]:
        if node is None:
            return "", {}
        keys = self.reader.mapping(node, f"{name}: work_pool", ("name", "job_variables"), ("name",))
        pool = self.reader.text(keys["name"], f"{name}: work_pool.name") if "name" in keys else ""
        if pool and pool not in pools:
            known = near(pool, pools) if pools else "none is listed there"
            self.reader.fault(keys["name"], f"{name}: the work pool {pool!r} is not in definitions.work_pools; {known}")
        variables: dict[str, Any] = {}
        if "job_variables" in keys:
            variables = {key: value for key, (_, _, value) in self.variables(keys["job_variables"], name).items()}
        return pool, variables

    def variables(self, node: Node, name: str) -> Values:
        found = table(self.reader, node, f"{name}: job_variables")
        for key, (where, value_node, _) in found.items():
            if key not in ("env", "working_dir", "stream_output"):
                known = near(key, ("env", "working_dir", "stream_output"))
                self.reader.fault(where, f"{name}: job_variables: unknown key {key!r}; {known}")
            elif key == "env":
                for variable, (_, at, value) in table(self.reader, value_node, f"{name}: env").items():
                    if value is not None and not isinstance(value, str):
                        self.reader.fault(at, f"{name}: env.{variable}: expected a text; put it in quotes")
        return found

    def limit(self, node: Node | None, name: str) -> Limit | None:
        from ruamel.yaml.nodes import ScalarNode

        if node is None:
            return None
        what = f"{name}: concurrency_limit"
        if isinstance(node, ScalarNode):
            return Limit(self.reader.number(node, what, least=1), "ENQUEUE", None)
        keys = self.reader.mapping(node, what, ("limit", "collision_strategy", "grace_period_seconds"), ("limit",))
        known: tuple[CollisionStrategy, ...] = get_args(CollisionStrategy)
        strategy: Any = "ENQUEUE"
        if "collision_strategy" in keys:
            strategy = self.reader.choice(keys["collision_strategy"], f"{what}.collision_strategy", known)
        limit = self.number(keys, "limit", what, least=1)
        return Limit(limit or 1, strategy, self.number(keys, "grace_period_seconds", what, least=60))

    def schedule(
        self, where: Node, keys: dict[str, Node], given: Values, *, name: str, form: Form | None, defaults: Values
    ) -> Schedule:  # fmt: skip
        slug = str(keys["slug"].value) if "slug" in keys else "?"
        what = f"{name}: schedule {slug!r}"
        if form:
            check_parameters(self.reader, given, form, f"{what}: parameters")
            for needed in form.schema.get("required") or ():
                if needed not in given and needed not in defaults:
                    self.reader.fault(where, f"{what}: the flow {form.flow!r} needs {needed!r}; give it in parameters")
        active = plain(self.reader, keys["active"], f"{what}: active") if "active" in keys else None
        if "active" in keys and not isinstance(active, bool):
            self.reader.fault(keys["active"], f"{what}: active: expected true or false")
        return Schedule(
            slug=slug,
            cron=self.checked(keys.get("cron"), f"{what}: cron", _cron_fault),
            timezone=self.checked(keys.get("timezone"), f"{what}: timezone", _timezone_fault),
            parameters={key: value for key, (_, _, value) in given.items()},
            active=active if isinstance(active, bool) else None,
        )

    def checked(self, node: Node | None, what: str, fault_in: Callable[[str], str | None]) -> str:
        text = self.reader.text(node, what) if node is not None else ""
        if node is not None and text and (said := fault_in(text)):
            self.reader.fault(node, f"{what}: {said}")
        return text


def _name(keys: dict[str, Node]) -> str:
    return str(keys["name"].value) if "name" in keys else "deployment without a name"


def _cron_fault(text: str) -> str | None:
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    try:
        CronSchedule(cron=text)
    except ValidationError:
        return (
            f"{text!r} is no time; expected minute, hour, day, month and weekday, such as '0 3 * * *' (every day at 3)"
        )
    return None


def _timezone_fault(text: str) -> str | None:
    from zoneinfo import available_timezones

    known = sorted(available_timezones())
    if text in known:
        return None
    from difflib import get_close_matches

    nearest = get_close_matches(text, known, n=1)
    return f"there is no {text!r}; " + (
        f"did you mean {nearest[0]!r}?" if nearest else "expected one such as Europe/Rome"
    )
