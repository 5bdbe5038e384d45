"""The stack on one machine: start, watch, kill, restart and stop its components.

    async with Stack(settings) as stack:      # takes the home's lock, ends what an earlier run left behind
        await stack.start_services()          # PostgreSQL, RabbitMQ, Temporal: ready when this returns
        stack.addresses.database_url
        await stack.kill("rabbitmq")          # as kill -9 does
        await stack.start("rabbitmq")         # same port, same data
                                              # leaving the block stops everything in reverse

Use it from the main thread: the kernel ends the children when the thread that started them ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import sys
from dataclasses import dataclass
from functools import cached_property, partial
from typing import IO, Any, Self

from compose import codec, console, ingresses, probes, process
from compose.addresses import Addresses, Services, addresses_of
from compose.ingresses import metrics_url
from compose.layout import SUPERVISOR, Layout, Memory
from compose.outside import OutsideService, place_of
from compose.postgres import EmbeddedPostgres
from compose.problems import AlreadyRunning, Died, StackProblem, Unavailable
from compose.process import Process
from compose.programs import OwnProgram
from compose.rabbitmq import EmbeddedPortMapper, EmbeddedRabbitMQ
from compose.rotation import Limits, keep_rotating
from compose.service import Component, wait_until_ready
from compose.temporal import EmbeddedTemporal
from runtime.listening import url_host
from runtime.settings import PROJECT_ROOT, Settings, to_environment

PROVISION_LIMIT_SECONDS = 120
OUTSIDE_DATABASE = (
    "the database is one of your own (CROUPIER_DATABASE_URL): back it up and restore it with its own tools"
    " (docs/sre/backup-and-restore.md)"
)
# The ports that a setting can give, by the names under which the memory hands them out.
GIVEN_PORTS = ("http", "metrics", "postgres", "amqp", "temporal", "temporal_ui", "codec", "console")


@dataclass(frozen=True)
class Operator:
    """The demo operator. The key is a secret."""

    operator_id: str
    operator_key: str

    def __repr__(self) -> str:
        return f"Operator(operator_id={self.operator_id!r}, ...)"


class Listener:
    """Receives what the stack reports while it works. The supervisor passes it on; tests ignore it."""

    def starting(self, name: str) -> None: ...

    def note(self, name: str, text: str) -> None: ...

    def ready(self, name: str, seconds: float) -> None: ...

    def stopping(self, name: str) -> None: ...


class Stack:
    """Starts, watches and ends every process of one home."""

    def __init__(self, settings: Settings, listener: Listener | None = None, *, ingresses: int = 1) -> None:
        self.settings = settings
        self._ingresses = ingresses
        self._shared: socket.socket | None = None
        self.layout = Layout(settings.home)
        self._listener = listener or Listener()
        self._processes: dict[str, Process] = {}
        self._components: dict[str, Component] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._deaths: asyncio.Queue[Died] = asyncio.Queue()
        self._lock: IO[str] | None = None
        self._memory: Memory | None = None
        self._rotating: asyncio.Task[None] | None = None

    # Opening and closing

    async def __aenter__(self) -> Self:
        self.open()
        self._rotating = asyncio.create_task(keep_rotating(self.layout.logs, Limits.of(self.settings)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def open(self) -> list[str]:
        """Take the home and end what an earlier run left behind; returns the names of that. Raises
        AlreadyRunning, and PortTaken before anything has started.
        """
        self.layout.create()
        self._lock = take_lock(self.layout)
        try:
            left_behind = process.sweep(self.layout)
            self.layout.stack_file.unlink(missing_ok=True)
            self._memory = Memory(self.layout.memory_file)
            for name in GIVEN_PORTS:
                if (wanted := getattr(self.settings, f"{name}_port")) is not None:
                    self._memory.port(name, wanted)
            process.record(self.layout, SUPERVISOR, os.getpid())
        except BaseException:
            self._release()
            raise
        return left_behind

    async def stop(self) -> None:
        """Stops everything in the reverse order of starting, and releases the home."""
        self.layout.stack_file.unlink(missing_ok=True)
        if self._shared is not None:
            self._shared.close()
        for name in reversed(list(self._processes)):
            self._forget_watch(name)
            self._listener.stopping(name)
            await self._processes.pop(name).stop()
        process.record_of(self.layout, SUPERVISOR).unlink(missing_ok=True)
        if self._rotating is not None:
            self._rotating.cancel()
        self._release()

    def _release(self) -> None:
        """Releases the ports and the home."""
        if self._memory is not None:
            self._memory.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # The three services

    @cached_property
    def addresses(self) -> Addresses:
        """Where the services are, or will be once they are started."""
        return addresses_of(self.settings, self._services)

    @cached_property
    def _services(self) -> Services:
        """Those that this stack embeds; None for each that the settings name elsewhere."""
        assert self._memory is not None, "open comes first"
        settings, layout, memory = self.settings, self.layout, self._memory
        return Services(
            postgres=None if settings.database_url else EmbeddedPostgres(settings, layout, memory),
            rabbitmq=None if settings.amqp_url else EmbeddedRabbitMQ(settings, layout, memory),
            temporal=None if settings.temporal_address else EmbeddedTemporal(settings, layout, memory),
        )

    def port(self, name: str) -> int:
        """A port for a program beside the stack's own, the same for the same name; no other stack has it."""
        assert self._memory is not None, "open comes first"
        return self._memory.port(name)

    async def start_services(self, *, provision: bool = False) -> Operator | None:
        """Start or check the three services, at the same time because RabbitMQ takes longest. With
        `provision` the tables, keys and the demo operator are made as soon as PostgreSQL answers. Raises
        StackProblem.
        """

        async def database() -> Operator | None:
            await self.start_database()
            return await self.provision() if provision else None

        operator, _, _ = await all_or_first_problem(database(), self.start_broker(), self.start_temporal())
        return operator if isinstance(operator, Operator) else None

    async def start_database(self) -> None:
        """Start PostgreSQL, or check the one that the settings name. Raises StackProblem."""
        postgres = self._services.postgres
        if postgres is not None:
            await self._run(postgres)
        else:
            await all_or_first_problem(*(role.check() for role in self._outside_database()))

    async def start_broker(self) -> None:
        """Start RabbitMQ, or check the one that the settings name. Raises StackProblem."""
        rabbitmq = self._services.rabbitmq
        await (self._run_rabbitmq(rabbitmq) if rabbitmq else self._outside_broker().check())

    async def start_temporal(self) -> None:
        """Start Temporal, or check the one that the settings name. Raises StackProblem."""
        temporal = self._services.temporal
        await (self._run(temporal) if temporal else self._outside_temporal().check())

    async def start_codec(self) -> None:
        """Start the codec server of the embedded Temporal, which no round needs, without waiting for it."""
        if (temporal := self._services.temporal) is not None:
            await self.run_alone(temporal.codec.program(self.environment("codec_metrics"), ui=temporal.ui))

    async def start_console(self) -> None:
        """The same for the operators' console."""
        assert self._memory is not None, "open comes first"
        api_url, variables = self._base_url(self.environment("http")), self.environment("console_metrics")
        if made := console.program(self.settings, self._memory, self.addresses, variables, api_url=api_url):
            await self.run_alone(made)

    async def _run_rabbitmq(self, rabbitmq: EmbeddedRabbitMQ) -> None:
        await rabbitmq.prepare(lambda text: self._listener.note(rabbitmq.name, text))
        await self._run(rabbitmq.port_mapper())
        await self._run(rabbitmq)

    def _outside_database(self) -> list[OutsideService]:
        """The database once for each role that is set."""
        urls = {"CROUPIER_DATABASE_URL": self.addresses.application_database_url}
        if self.settings.owner_database_url:
            urls["CROUPIER_OWNER_DATABASE_URL"] = self.addresses.database_url
        return [
            OutsideService("PostgreSQL", variable, partial(probes.postgres, url), place_of(url))
            for variable, url in urls.items()
        ]

    def _outside_broker(self) -> OutsideService:
        url = self.addresses.amqp_url
        return OutsideService("RabbitMQ", "CROUPIER_AMQP_URL", lambda: probes.amqp(url), place_of(url))

    def _outside_temporal(self) -> OutsideService:
        from runtime.temporal import access  # its client is heavy, and most stacks embed Temporal

        address, namespace = self.addresses.temporal_address, self.addresses.temporal_namespace
        probe = partial(probes.temporal, address, namespace, access(self.settings))
        return OutsideService("Temporal", "CROUPIER_TEMPORAL_ADDRESS", probe, address)

    @property
    def embedded_postgres(self) -> EmbeddedPostgres:
        """Raises StackProblem where the settings name another one."""
        if self._services.postgres is None:
            raise StackProblem(OUTSIDE_DATABASE)
        return self._services.postgres

    async def run_alone(self, component: Component) -> None:
        """Starts a component that its caller has prepared, and waits for if anybody does."""
        running = await process.start(component.command(), self.layout)
        self._components[component.name], self._processes[component.name] = component, running
        self._watches[component.name] = asyncio.create_task(self._watch(component.name, running))

    async def give_up(self, name: str) -> None:
        """Ends a component, however it stands."""
        self._forget_watch(name)
        if (running := self._processes.pop(name, None)) is not None:
            await running.stop()

    def died(self) -> Died | None:
        """A component that has ended by itself, if one has."""
        return None if self._deaths.empty() else self._deaths.get_nowait()

    # Our own programs

    async def provision(self) -> Operator:
        """Tables, keys and the demo operator, made by a process of its own. Raises StackProblem with what it
        said.
        """
        job = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "compose.provision"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **self.environment()},
            cwd=PROJECT_ROOT,
        )
        try:
            output, errors = await asyncio.wait_for(job.communicate(), PROVISION_LIMIT_SECONDS)
        except BaseException:
            if job.returncode is None:
                job.kill()
            raise
        if job.returncode != 0:
            said = "\n".join(errors.decode(errors="replace").splitlines()[-process.TAIL_LINES :])
            raise StackProblem(f"preparing the database failed:\n{said}")
        return Operator(**json.loads(output))

    async def start_programs(self) -> None:
        """Start all of our programs at the same time. Raises StackProblem."""
        await all_or_first_problem(*(self._run(program) for program in self.programs()))

    def programs(self) -> tuple[OwnProgram, ...]:
        """In the order of their start; the ingress is last so that it is the first to stop."""
        alone = ("statistics", "relay", "reconciler", "webhooks")
        return (*map(self._with_metrics_alone, alone), *self._of_the_ingress())

    def _with_metrics_alone(self, name: str) -> OwnProgram:
        """A program that listens for nothing else."""
        own = self._as_application(f"{name}_metrics")
        return OwnProgram(name=name, module=f"workers.{name}", ready_url=metrics_url(own), settings=own)

    def _of_the_ingress(self) -> tuple[OwnProgram, ...]:
        if self._ingresses > 1:
            if self._shared is None:
                port = int(self.environment("http")["CROUPIER_HTTP_PORT"])
                self._shared = ingresses.share(self.settings, port)
            return tuple(
                ingresses.programs(self._ingresses, self._shared, self.settings, self._one_of_several)
            )
        own = self._as_ingress("http", "metrics")
        ready_url = f"{self._base_url(own)}/readyz"
        return (OwnProgram(name=ingresses.FIRST, module=ingresses.MODULE, ready_url=ready_url, settings=own),)

    def _one_of_several(self, name: str) -> dict[str, str]:
        return self._as_ingress("http", "metrics" if name == ingresses.FIRST else f"{name}_metrics")

    def _as_ingress(self, *ports: str) -> dict[str, str]:
        assert self._memory is not None, "open comes first"
        return self._as_application(*ports) | ingresses.lobby(self.settings, self._memory)

    def _as_application(self, *ports: str) -> dict[str, str]:
        """The settings of a program that only plays: it gets no address with which it could alter what is
        written, or reach what is not ours on the broker. An empty value counts as not given, and hides what
        this process has in its environment.
        """
        return self.environment(*ports) | {
            "CROUPIER_DATABASE_URL": self.addresses.application_database_url,
            "CROUPIER_OWNER_DATABASE_URL": "",
            "CROUPIER_CONSOLE_OIDC_CLIENT_SECRET": "",
            "CROUPIER_AMQP_URL": self.addresses.application_amqp_url,
        }

    def environment(self, *ports: str) -> dict[str, str]:
        """The settings of a program that makes tables, as variables: the services' addresses with the
        database's of its owner, and its ports by name.
        """
        assert self._memory is not None, "open comes first"
        variables = to_environment(self.settings)
        variables["CROUPIER_DATABASE_URL"] = self.addresses.database_url
        variables["CROUPIER_AMQP_URL"] = self.addresses.amqp_url
        variables["CROUPIER_TEMPORAL_ADDRESS"] = self.addresses.temporal_address
        for name in ports:
            variable = "CROUPIER_HTTP_PORT" if name == "http" else "CROUPIER_METRICS_PORT"
            variables[variable] = str(self._memory.port(name))
        return variables

    def info(self, operator: Operator | None = None) -> dict[str, Any]:
        """What stack.json holds while the stack is up."""
        known: dict[str, Any] = {
            "database_url": self.addresses.database_url,
            "reader_database_url": self.addresses.reader_database_url,
            "amqp_url": self.addresses.amqp_url,
            "temporal_address": self.addresses.temporal_address,
            "temporal_namespace": self.addresses.temporal_namespace,
            "temporal_ui": self.addresses.temporal_ui,
            "home": str(self.settings.home),
            "keyring": str(self.settings.keyring),
        }
        if operator is not None:
            known |= {"operator_id": operator.operator_id, "operator_key": operator.operator_key}
        running = {name: part for name, part in self._components.items() if isinstance(part, OwnProgram)}
        known |= console.url(running)
        metrics = {name: metrics_url(part.settings) for name, part in running.items()}
        for name, url in (
            ("temporal", self.addresses.temporal_metrics),
            ("rabbitmq", self.addresses.rabbitmq_metrics),
            ("rabbitmq-queues", self.addresses.rabbitmq_queue_metrics),
        ):
            metrics |= {name: url} if url else {}
        if (temporal := self._services.temporal) is not None and codec.NAME in running:
            known["temporal_codec"] = temporal.codec.endpoint
        if "ingress" in running:
            known["base_url"] = self._base_url(running["ingress"].settings)
            known |= ingresses.lobby_url(known["base_url"], running["ingress"].settings)
        return {**known, "metrics_urls": metrics}

    def _base_url(self, variables: dict[str, str]) -> str:
        return f"http://{url_host(self.settings.http_host)}:{variables['CROUPIER_HTTP_PORT']}"

    # Single components, by name

    def pid(self, name: str) -> int:
        """The process id of a running component."""
        return self._processes[name].pid

    def names(self) -> list[str]:
        """What runs, in the order of its start."""
        return list(self._processes)

    async def kill(self, name: str) -> None:
        """Ends a component as `kill -9` does, without reporting a death. Data and ports stay."""
        self._forget_watch(name)
        await self._processes.pop(name).kill()

    async def start(self, name: str) -> None:
        """Start a component again that ran before, and wait until it is ready."""
        await self._run(self._components[name])

    async def stop_one(self, name: str) -> None:
        """Stop a single component in an orderly way."""
        self._forget_watch(name)
        await self._processes.pop(name).stop()

    async def restart(self, name: str) -> None:
        """Stop and start a single component."""
        await self.stop_one(name)
        await self.start(name)

    async def death(self) -> Died:
        """Wait until a component ends that nobody asked to end."""
        return await self._deaths.get()

    async def revive(self, name: str) -> None:
        """Starts a component that has died: at the same port, over the same data. Raises Died, and has ended
        what did not become ready."""
        try:
            await self.start(name)
        except StackProblem as problem:
            await self._processes[name].stop()
            if isinstance(problem, Died):
                raise
            raise Died(name, f"cannot start ({problem})", "") from None

    def needed_by(self, name: str) -> set[str]:
        """What must run for this component to start: for our programs every service, for RabbitMQ its port
        mapper."""
        if isinstance(self._components[name], OwnProgram):
            return {other for other, one in self._components.items() if not isinstance(one, OwnProgram)}
        return {EmbeddedPortMapper.name} if name == EmbeddedRabbitMQ.name else set()

    async def _run(self, component: Component) -> None:
        """Prepare, start and wait until ready, or until it dies. Raises StackProblem."""
        name = component.name
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._listener.starting(name)
        await component.prepare(lambda text: self._listener.note(name, text))
        self._components[name] = component
        running = await process.start(component.command(), self.layout)
        self._processes[name] = running
        ready = asyncio.ensure_future(
            wait_until_ready(name, component.probe, limit_seconds=component.start_seconds)
        )
        ended = asyncio.ensure_future(running.wait())
        try:
            await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise Died(name, ended.result(), running.said())
            try:
                ready.result()
            except Unavailable as problem:
                raise Died(name, f"is not ready ({problem})", running.said()) from None
        finally:
            ready.cancel()
            ended.cancel()
        self._watches[name] = asyncio.create_task(self._watch(name, running))
        self._listener.ready(name, loop.time() - began)

    async def _watch(self, name: str, running: Process) -> None:
        how = await running.wait()
        self._deaths.put_nowait(Died(name, how, running.said()))

    def _forget_watch(self, name: str) -> None:
        watch = self._watches.pop(name, None)
        if watch is not None:
            watch.cancel()


def take_lock(layout: Layout) -> IO[str]:
    """Takes the home's lock, which the kernel releases however this process ends. Raises AlreadyRunning."""
    lock = layout.lock_file.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise AlreadyRunning(f"the stack in {layout.home} is already running") from None
    return lock


async def all_or_first_problem(*work: Any) -> list[Any]:
    """Do all at once. When one fails the others are cancelled and waited for, and its problem is raised."""
    tasks = [asyncio.ensure_future(part) for part in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
