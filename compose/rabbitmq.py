"""The embedded RabbitMQ: one node on loopback with its own port mapper, users and passwords.

Two users: the administrator, for people and tests, and the one that our programs connect as, who may declare,
write and read what is Croupier's.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from pathlib import Path
from typing import Any

from compose import probes
from compose.layout import Layout, Memory, write_json, write_private
from compose.problems import NotReady
from compose.process import Command
from compose.rabbitmq_programs import Programs, find_or_fetch
from compose.service import Say
from runtime.settings import Settings

USER = "croupier"
APPLICATION = "croupier_app"
NODE = "croupier@localhost"
ON_LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"

# Our exchanges and queues, and the queues that the broker names (amq.gen-...) for one connection alone.
OURS = r"croupier\..*|amq\.gen-.*"
EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}
# Answers to commands go to whatever queue their sender names, over the default exchange.
OF_PROGRAMS = {"configure": f"^({OURS})$", "write": rf"^({OURS}|amq\.default)$", "read": f"^({OURS})$"}

PLUGINS = "[rabbitmq_prometheus].\n"
# The sums of all queues do not say which of them is full: the depths and consumers of each have pages of
# their own.
QUEUE_FAMILIES = ("queue_coarse_metrics", "queue_consumer_count")

# Rates are the business of Prometheus: with them the broker would count each message for each pair of channel
# and queue.
ADVANCED = "[{rabbitmq_management_agent, [{rates_mode, none}]}].\n"

# The users are made, instead of `guest`, or changed at each start, before the node listens.
CONFIGURATION = """\
listeners.tcp.local = 127.0.0.1:{port}
load_definitions = {definitions}
# What the Prometheus plugin serves is counted by the broker itself; the collector beside it, of which the
# plugin makes no use, would cost processor time for each message.
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {metrics_port}
management_agent.disable_metrics_collector = true
vm_memory_high_watermark.absolute = 256MB
disk_free_limit.absolute = 50MB
log.file = false
log.console = true
log.console.level = warning
"""


class EmbeddedRabbitMQ:
    """RabbitMQ on loopback. Its address is known before it runs; it needs EmbeddedPortMapper first."""

    name = "rabbitmq"
    start_seconds = 120.0

    def __init__(self, settings: Settings, layout: Layout, memory: Memory) -> None:
        self._layout = layout
        self._port = memory.port("amqp", settings.amqp_port)
        self._distribution_port = memory.port("rabbitmq_distribution")
        self._mapper_port = memory.port("rabbitmq_mapper")
        self._metrics_port = memory.port("rabbitmq_metrics")
        self._password = memory.secret("rabbitmq_password")
        self._application_password = memory.secret("rabbitmq_application_password")
        self._cookie = memory.secret("erlang_cookie")
        self._folder = folder_of(layout)
        self._programs: Programs | None = None

    @property
    def url(self) -> str:
        """The administrator's."""
        return f"amqp://{USER}:{self._password}@127.0.0.1:{self._port}/"

    @property
    def application_url(self) -> str:
        """Our programs'."""
        return f"amqp://{APPLICATION}:{self._application_password}@127.0.0.1:{self._port}/"

    @property
    def metrics(self) -> str:
        """Of the whole broker: alarms, memory, sums of all queues."""
        return f"http://127.0.0.1:{self._metrics_port}/metrics"

    @property
    def queue_metrics(self) -> str:
        """Of each queue: how deep it is, and how many consume from it."""
        families = "&".join(f"family={family}" for family in QUEUE_FAMILIES)
        return f"{self.metrics}/detailed?{families}"

    async def prepare(self, say: Say) -> None:
        self._programs = await asyncio.to_thread(find_or_fetch, say)
        for folder in (self._folder, self._folder / "nodes"):
            folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / "definitions.json"
        write_json(path, definitions(self._password, self._application_password))
        configuration = CONFIGURATION.format(
            port=self._port, metrics_port=self._metrics_port, definitions=path
        )
        write_private(self._folder / "rabbitmq.conf", configuration)
        write_private(self._folder / "plugins", PLUGINS)
        write_private(self._folder / "advanced.config", ADVANCED)
        write_private(self._folder / ".erlang.cookie", self._cookie, mode=0o400)

    def command(self) -> Command:
        assert self._programs is not None
        return Command(
            name=self.name,
            argv=("/bin/sh", str(self._programs.server)),
            environment=self._environment(self._programs),
            folder=self._folder,
            stop_seconds=30.0,
        )

    def port_mapper(self) -> EmbeddedPortMapper:
        """The node's port mapper. Started by RabbitMQ itself it would be a daemon that outlives the stack."""
        assert self._programs is not None
        return EmbeddedPortMapper(self._programs, self._folder, self._mapper_port)

    async def probe(self) -> None:
        """As both users, for a node makes them one after the other."""
        for url in (self.url, self.application_url):
            await probes.amqp(url)

    def _environment(self, programs: Programs) -> dict[str, str]:
        folder = self._folder
        return {
            **node_environment(programs, folder, self._mapper_port),
            # Makes the start script become the node instead of waiting beside it, so signals and exits are
            # the node's.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_MNESIA_BASE": str(folder / "nodes"),
            "RABBITMQ_LOG_BASE": str(self._layout.logs),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ON_LOOPBACK,
        }


def node_environment(programs: Programs, folder: Path, mapper_port: int) -> dict[str, str]:
    """What the node and its command line have in common: the node's name, its port mapper, and the folder
    whose cookie lets one speak to the other."""
    variables = {
        "HOME": str(folder),  # the cookie of Erlang is read from there
        "PATH": f"{programs.erlang_bin}:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "ERL_EPMD_PORT": str(mapper_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_BASE": str(folder),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_NODENAME": NODE,
    }
    if programs.libraries:
        variables["LD_LIBRARY_PATH"] = ":".join(str(path) for path in programs.libraries)
    return variables


def folder_of(layout: Layout) -> Path:
    """Where a home's node keeps its data, its configuration and its cookie."""
    return layout.data / "rabbitmq"


def definitions(password: str, application_password: str) -> dict[str, Any]:
    """What RabbitMQ loads: the administrator with the first password, and our programs' user."""
    return {
        "vhosts": [{"name": "/"}],
        "users": [
            _user(USER, password, tags="administrator"),
            _user(APPLICATION, application_password, tags=""),
        ],
        "permissions": [
            {"user": USER, "vhost": "/", **EVERYTHING},
            {"user": APPLICATION, "vhost": "/", **OF_PROGRAMS},
        ],
    }


def _user(name: str, password: str, *, tags: str) -> dict[str, str]:
    """A user as RabbitMQ's definitions have it: the hash is of four bytes of salt and the password."""
    salt = os.urandom(4)
    salted = salt + hashlib.sha256(salt + password.encode()).digest()
    return {
        "name": name,
        "password_hash": base64.b64encode(salted).decode(),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": tags,
    }


class EmbeddedPortMapper:
    """Erlang's port mapper, in the foreground and on loopback only."""

    name = "rabbitmq-mapper"
    start_seconds = 60.0

    def __init__(self, programs: Programs, folder: Path, port: int) -> None:
        self._programs, self._folder, self._port = programs, folder, port

    async def prepare(self, say: Say) -> None:
        """Nothing: its node prepares for both."""

    def command(self) -> Command:
        return Command(
            name=self.name,
            argv=(str(self._programs.epmd), "-port", str(self._port), "-address", "127.0.0.1"),
            environment={"PATH": "/usr/bin:/bin"},
            folder=self._folder,
            stop_seconds=3.0,
        )

    async def probe(self) -> None:
        """An open port is enough here: RabbitMQ starts a mapper of its own when it finds none listening."""
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError as problem:
            raise NotReady(str(problem)) from None
        writer.close()
