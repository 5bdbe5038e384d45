"""Twelve faults on one stack: for each a metric moves, its alert fires on what was recorded, something names
it, and its runbook ends it. Meanwhile nobody's name or secret gets to where others read."""

import asyncio
import json
from pathlib import Path
from typing import Final

import pytest

from tests.drill import canaries, faults
from tests.drill.casino import PLANTED, Casino
from tests.drill.drill import ORDER, Drill
from tests.support.conditions import until
from tests.support.secrets import assert_absent

LIMIT_S: Final = 900
# Reconciliation may find, a minute later, what a person has decided for a wallet.
LEFT_TO_PEOPLE: Final = "incident"


@pytest.mark.timeout(LIMIT_S)
async def test_twelve_faults(
    casino: Casino, rule_checker: Path, tmp_path: Path, full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    drill = Drill(casino, full)
    async with asyncio.TaskGroup() as slow:
        # Their alerts ask for a minute, in which faults of others come and go.
        slow.create_task(faults.long_transaction(drill))
        slow.create_task(faults.stuck_settlement(drill))
        await casino.until_connected()
        await asyncio.gather(
            faults.wallet_down(drill),
            faults.wallet_slow(drill),
            faults.poison_message(drill),
            faults.bad_game(drill),
            faults.reconciler_dead(drill),
        )
    # A service is taken away when nobody else's steps need it.
    await faults.temporal_down(drill)
    await faults.broker_blocked(drill)
    await asyncio.gather(faults.broker_down(drill), faults.lost_key(drill))
    await faults.database_frozen(drill)
    drill.assert_alerts(tmp_path, rule_checker)
    with capsys.disabled():
        print(f"\n{drill.table()}")  # noqa: T201
    assert {row.fault for row in drill.rows} == set(ORDER)
    await until(lambda: _nothing_is_stuck(casino))
    assert (await casino.croupier("audit"))[0] == 0


async def _nothing_is_stuck(casino: Casino) -> bool:
    code, output, errors = await casino.croupier("stuck", "--json", "--older-than", "1s")
    assert code in (0, 1), errors
    return {one["kind"] for one in json.loads(output)["stuck"]} <= {LEFT_TO_PEOPLE}


@pytest.mark.timeout(LIMIT_S)
async def test_no_name_and_no_secret_gets_to_where_others_read(casino: Casino) -> None:
    player = await casino.seat(client_seed=f"{PLANTED}-seed")
    played = await player.played()
    planted = await canaries.canaries(casino)
    assert all(planted.values()), "there is one of each kind"
    workflow_id = player.round_key(played["round_id"]).workflow_id
    histories = await until(lambda: _with(workflow_id, casino))
    assert histories is not None
    await until(lambda: _traced(casino))
    logs, metrics = canaries.logs(casino), canaries.metrics(casino)
    assert {"ingress.log", "postgres.log", "temporal.log", "rabbitmq.log"} <= logs.keys()
    assert b'croupier_rounds_closed_total{game="dice",operator="demo",state="settled"}' in metrics
    places = {
        **{f"the log {name}": content for name, content in logs.items()},
        **{f"the history of {name}": content for name, content in histories.items()},
        "a metric's name or labels": metrics,
        "a trace": b"\n".join(casino.spans.bodies),
    }
    for kind, values in planted.items():
        for place, content in places.items():
            assert_absent(values, content, f"{place}: of kind {kind}")


async def _with(workflow_id: str, casino: Casino) -> dict[str, bytes] | None:
    """All histories, once this one is among them."""
    found = await canaries.histories(casino)
    return found if workflow_id in found else None


async def _traced(casino: Casino) -> bool:
    return any("temporalWorkflowID" in seen.attributes for seen in casino.spans.spans)
