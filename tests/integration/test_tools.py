"""The command lines of the embedded services: each reaches its own, and says clearly when there is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from compose import tools
from compose.layout import write_json
from compose.postgres import READER, USER
from compose.problems import StackProblem
from events.topology import STATISTICS
from runtime.settings import Settings
from tests.conftest import Services
from tests.support.commands import invoke, run_process
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client

VERB = {"psql": ("-c", "SELECT 1"), "temporal": ("workflow", "list"), "rabbitmqctl": ("status",)}


class TestPsql:
    async def test_is_a_reader(self, services: Services, platform: dict[str, Any]) -> None:
        asked = ("-X", "-A", "-t", "-c", "SELECT current_user, count(*) > 0 FROM operators")
        code, output, errors = await run_process(services, platform, "psql", *asked)
        assert (code, output, errors) == (0, f"{READER}|t\n", "")

    async def test_writes_only_where_that_is_said(self, services: Services, platform: dict[str, Any]) -> None:
        change = ("-X", "-c", "UPDATE operators SET name = name WHERE id = 'nobody'")
        code, _, errors = await run_process(services, platform, "psql", *change)
        assert code == 1
        assert "read-only transaction" in errors
        code, output, errors = await run_process(services, platform, "psql", "--write", *change)
        assert (code, output) == (0, "UPDATE 0\n")
        assert errors == "croupier: as the owner: what you write here, no rule of the ledger checks\n"

    async def test_gets_the_password_by_its_environment_alone(
        self, services: Services, platform: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGHOST", "elsewhere.example")
        monkeypatch.setenv("PGSERVICE", "another")
        for write, user in ((False, READER), (True, USER)):
            tool = _found(tools.psql, services, platform, write=write)
            assert tool.environment["PGUSER"] == user
            assert tool.environment["PGHOST"] == "127.0.0.1"
            assert "PGSERVICE" not in tool.environment
            assert not any(tool.environment["PGPASSWORD"] in argument for argument in tool.argv)


async def test_temporal_is_asked_in_the_stacks_namespace(
    services: Services, platform: dict[str, Any]
) -> None:
    asked = ("operator", "namespace", "describe", "-o", "json")
    code, output, errors = await run_process(services, platform, "temporal", *asked)
    assert code == 0, errors
    assert json.loads(output)["namespaceInfo"]["name"] == platform["temporal_namespace"]


async def test_temporal_opens_payloads_where_a_codec_server_runs(
    services: Services, platform: dict[str, Any]
) -> None:
    endpoint = "http://127.0.0.1:1/a-path"
    tool = _found(tools.temporal_cli, services, {**platform, "temporal_codec": endpoint})
    assert tool.environment["TEMPORAL_CODEC_ENDPOINT"] == endpoint
    without = _found(tools.temporal_cli, services, {**platform, "temporal_codec": None})
    assert "TEMPORAL_CODEC_ENDPOINT" not in without.environment


async def test_rabbitmqctl_reaches_the_stacks_node(services: Services, platform: dict[str, Any]) -> None:
    asked = ("list_queues", "--silent", "name")
    code, output, errors = await run_process(services, platform, "rabbitmqctl", *asked)
    assert code == 0, errors
    assert STATISTICS.name in output.split()


async def test_an_exit_code_is_the_programs_own(services: Services, platform: dict[str, Any]) -> None:
    code, _, errors = await run_process(services, platform, "psql", "-X", "-c", "SELECT nonsense")
    assert (code, "nonsense" in errors) == (1, True)


@pytest.mark.parametrize("name", VERB)
def test_without_a_stack_each_says_how_to_start_one(name: str, tmp_path: Path) -> None:
    code, output, errors = invoke({"CROUPIER_HOME": str(tmp_path)}, name, *VERB[name])
    assert (code, output) == (2, "")
    assert errors == f"croupier: the stack in {tmp_path} is not up: start it with ./croupier up\n"


@pytest.mark.parametrize(
    ("find", "without", "said"),
    [
        (tools.psql, {"reader_database_url": None}, "PostgreSQL is one of your own (CROUPIER_DATABASE_URL)"),
        (
            tools.temporal_cli,
            {"temporal_ui": None},
            "Temporal is one of your own (CROUPIER_TEMPORAL_ADDRESS)",
        ),
    ],
)
async def test_a_service_of_ones_own_has_its_own_tools(
    services: Services, platform: dict[str, Any], find: Any, without: dict[str, None], said: str
) -> None:
    with pytest.raises(StackProblem) as problem:
        _found(find, services, {**platform, **without})
    assert said in str(problem.value)


def _found(find: Any, services: Services, platform: dict[str, Any], **choices: Any) -> tools.Tool:
    path = services.stack.layout.stack_file
    write_json(path, platform)
    try:
        tool: tools.Tool = find(Settings(home=services.settings.home), **choices)
    finally:
        path.unlink()
    return tool


class TestTheBrokersMetrics:
    async def test_cost_no_count_for_each_message(self, services: Services, platform: dict[str, Any]) -> None:
        asked = ("eval", "application:get_env(rabbit, collect_statistics).")
        code, output, _ = await run_process(services, platform, "rabbitmqctl", *asked)
        assert (code, output) == (0, "{ok,coarse}\n")

    async def test_have_the_broker_and_each_queue(self, services: Services, platform: dict[str, Any]) -> None:
        """The depth of each queue is what alerts are about; the sums of all would hide it."""
        urls = platform["metrics_urls"]
        async with http_client(timeout=HANG_S) as client:
            broker = (await client.get(urls["rabbitmq"])).text

            async def depth() -> str:
                """The broker counts every few seconds."""
                page = (await client.get(urls["rabbitmq-queues"])).text
                wanted = f'rabbitmq_detailed_queue_messages{{vhost="/",queue="{STATISTICS.dead_name}"}}'
                return page if wanted in page else ""

            queues = await until(depth)
        assert "rabbitmq_alarms_memory_used_watermark 0" in broker
        assert "rabbitmq_detailed_queue_consumers{" in queues
        assert urls["rabbitmq"].startswith("http://127.0.0.1:")
