"""The twelve faults: how each comes, what is seen of it, and what ends it."""

import asyncio
import shutil
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aio_pika

from api.session.service import NO_LIMITS, SessionService
from contracts.sessions import REAL
from contracts.wallet import WalletCall
from events.topology import EVENTS_EXCHANGE, STATISTICS
from security.keyring import Keyring
from security.seeds import SeedVault
from security.tokens import TokenIssuer
from tests.drill.casino import AWAY, LATE, SLOW, Casino, forgotten_transaction
from tests.drill.drill import Drill, above, comes_to, rises, rises_by, stays
from tests.e2e.parties import Player
from tests.support.clients import frozen_server
from tests.support.conditions import until

BETS: Final = 6  # more unknown answers than a wallet may give in a row
READS: Final = 12  # more than the ingress has connections to the database
LATE_BY_S: Final = 1.1


async def wallet_down(drill: Drill) -> None:
    casino, wallet = drill.casino, drill.casino.wallets[AWAY]
    player = await casino.seat(AWAY)
    async with drill.fault("wallet down", "WalletAway", operator=AWAY) as fault:
        await wallet.kill()
        round_id = await _bet(player)
        for _ in range(BETS):
            await _bet(player)
        await fault.moves("croupier_wallet_breaker_open", comes_to(1), max, operator=AWAY, job="ingress")
        await fault.is_named_by_show(round_id, "wallet-failed", "not-reached")
        await fault.step("operator wallet test OPERATOR", codes=(1,), OPERATOR=AWAY)
        await wallet.start()
        await fault.step("operator wallet test OPERATOR", OPERATOR=AWAY)
        await _until_settled(player)
        await fault.is_over("croupier_wallet_breaker_open", comes_to(0), max, operator=AWAY)


async def wallet_slow(drill: Drill) -> None:
    casino, wallet = drill.casino, drill.casino.wallets[SLOW]
    player = await casino.seat(SLOW)
    await _until_settled(player)
    async with drill.fault("wallet slow", "WalletSlow", operator=SLOW) as fault:
        await wallet.set_faults(rates={"slow": 1}, only=[WalletCall.WIN], slow_s=LATE_BY_S)
        round_id = await _bet(player)
        await fault.moves("croupier_wallet_call_duration_seconds_sum", rises_by(1), operator=SLOW)
        # On a busy machine the first call runs out of its time, and the next is accepted as its repetition.
        await fault.is_named_by_show(round_id, r"win of .*accepted.*, in \d{4,}\.\d ms")
        await wallet.clear_faults()
        fault.taken("Tell the operator")
        calls = "croupier_wallet_call_duration_seconds_bucket"
        more_than_now = above(fault.now(calls, operator=SLOW, le="1.0"))
        await _until_settled(player)
        await fault.is_over(calls, more_than_now, operator=SLOW, le="1.0")


async def stuck_settlement(drill: Drill) -> None:
    casino, wallet = drill.casino, drill.casino.wallets[LATE]
    player = await casino.seat(LATE)
    await _until_settled(player)  # so that the wallet knows the session
    win = WalletCall.WIN.value
    async with drill.fault("stuck settlement", "SettlementStuck", operator=LATE, call=win) as fault:
        await wallet.set_faults(rates={"error-before": 1}, only=[win])
        round_id = await _bet(player)
        age = "croupier_rounds_settling_oldest_age_seconds"
        await fault.lasts_a_minute(age, operator=LATE, call=win)
        await fault.is_named_by_stuck("round", round_id, "has not taken the win", "paid-outside")
        await fault.step(
            "round resolve ROUND_ID --action paid-outside --reason TEXT", ROUND_ID=round_id, TEXT="drill"
        )
        await fault.is_over(age, comes_to(0), max, operator=LATE, call=win)


async def broker_down(drill: Drill) -> None:
    casino = drill.casino
    player = await casino.seat()
    async with drill.fault("broker down", "BrokerAway", job="relay", connection="publisher") as fault:
        await casino.stack.kill("rabbitmq")
        await _until_settled(player)
        await fault.moves("croupier_broker_connected", comes_to(0), max)
        await fault.is_named_by_stuck("service", "RabbitMQ")
        await fault.is_started_again("rabbitmq")
        await fault.is_over("croupier_broker_connected", comes_to(1), min)


async def broker_blocked(drill: Drill) -> None:
    casino = drill.casino
    player = await casino.seat()
    async with drill.fault("broker blocked by its alarm", "BrokerBlocked") as fault:
        await _typed(casino, "rabbitmqctl", "set_vm_memory_high_watermark", "0")
        await player.played()
        await fault.moves("croupier_broker_blocked", comes_to(1), max, job="ingress")
        await fault.is_named_by_stuck("events", "demo")
        await fault.step("rabbitmqctl set_vm_memory_high_watermark absolute 512MB")
        await fault.sees("rabbitmq_alarms_memory_used_watermark", comes_to(0), max)
        await fault.is_over("croupier_broker_blocked", comes_to(0), max)


async def temporal_down(drill: Drill) -> None:
    casino = drill.casino
    player = await casino.seat()
    async with drill.fault("Temporal down", "TemporalAway") as fault:
        await casino.stack.kill("temporal")
        assert (await player.bet()).status_code == 503
        await fault.moves("croupier_unavailable_total", rises, cause="temporal")
        await fault.is_named_by_stuck("service", "Temporal")
        await fault.is_started_again("temporal")
        await until(casino.ready)
        await _until_settled(player)
        await fault.is_over("croupier_unavailable_total", stays, cause="temporal")


async def database_frozen(drill: Drill) -> None:
    casino = drill.casino
    player = await casino.seat()
    async with drill.fault("database frozen", "LedgerAway") as fault:
        with frozen_server(casino.stack.pid("postgres")):
            reads = [asyncio.create_task(player.call("GET", "/balance")) for _ in range(READS)]
            await fault.keeps_stuck_from_asking("PostgreSQL", "does not answer")
            await fault.moves("croupier_unavailable_total", rises, cause="ledger")
        fault.taken("kill -CONT PID $(pgrep -P PID)")  # the block above does that
        assert 503 in {answer.status_code for answer in await asyncio.gather(*reads)}
        await until(casino.ready)
        await _until_settled(player)
        await fault.is_over("croupier_unavailable_total", stays, cause="ledger")


async def long_transaction(drill: Drill) -> None:
    age = "croupier_transaction_age_seconds"
    async with (
        drill.fault("long transaction in another database", "LongTransaction", database="postgres") as fault,
        forgotten_transaction(drill.casino) as pid,
    ):
        await fault.lasts_a_minute(age, holds="vacuum", database="postgres")
        await fault.is_named_by_stuck("transaction", f"pid {pid}", "a report")
        await fault.step('psql --write -c "SELECT pg_terminate_backend(PID)"', PID=str(pid))
        await fault.is_over(age, comes_to(0), max, holds="vacuum", database="postgres")


async def poison_message(drill: Drill) -> None:
    casino = drill.casino
    async with drill.fault("poison message", "DeadLetters", queue=STATISTICS.name) as fault:
        await _publish(casino, b"\xff no event", "demo.dice.round.settled")
        await fault.moves("croupier_dead_letters_total", rises, queue=STATISTICS.name)
        await fault.is_named_by_stuck("queue", STATISTICS.dead_name)
        await fault.step("rabbitmqctl purge_queue croupier.statistics.dead")
        depth = "rabbitmq_detailed_queue_messages"
        await fault.is_over(depth, comes_to(0), queue=STATISTICS.dead_name)


async def lost_key(drill: Drill) -> None:
    casino = drill.casino
    kept = await _lose_a_key_of_seeds(casino)
    player = await _session_sealed_by(casino, Keyring.load(kept))
    async with drill.fault("lost key", "KeyMissing") as fault:
        round_id = await _bet(player)
        await fault.moves("croupier_seeds_unopened_total", rises)
        await fault.is_named_by_show(round_id, "the keyring's seeds section has no key")
        await fault.step("keys merge FILE", FILE=str(kept))
        await casino.stack.restart("ingress")
        fault.taken("restart the programs")
        await until(casino.ready)
        await _until_settled(player)
        await fault.is_over("croupier_seeds_unopened_total", stays)


async def reconciler_dead(drill: Drill) -> None:
    casino = drill.casino
    async with drill.fault("reconciler dead", "NoReconciliation") as fault:
        await casino.stack.kill("reconciler")
        await fault.moves("up", comes_to(0), min, job="reconciler")
        await fault.is_named_by_stuck("reconciliation", "does not end")
        await fault.is_started_again("reconciler")
        # 1: a wallet is away at the same time. 2: the run that was under way has not ended yet.
        await fault.step("reconcile", codes=(0, 1), again=(2,))
        await fault.is_over("up", comes_to(1), min, job="reconciler")


async def bad_game(drill: Drill) -> None:
    player = await drill.casino.seat(game_id="puppet")
    async with drill.fault("bad game plug-in", "GameFails", game="puppet") as fault:
        round_id = await _bet(player, choice={"do": "tell"})
        await fault.moves("croupier_game_healthy", comes_to(0), min, game="puppet")
        await fault.is_named_by_show(round_id, "resolve-failed", "puppet 1.0.0")
        await fault.step("round list --game GAME --failure resolve-failed", GAME="puppet")
        fault.taken("It is asked again by itself")
        await _until_settled(player, choice={"do": "win"})
        await fault.is_over("croupier_game_healthy", comes_to(1), min, game="puppet")


# What they do


async def _bet(player: Player, **changes: Any) -> str:
    """A round, whatever becomes of it."""
    round_id = uuid4().hex
    await player.bet(round_id, **changes)
    return round_id


async def _until_settled(player: Player, **changes: Any) -> None:
    """Bets until a round is settled."""

    async def settled() -> bool:
        answer = await player.bet(**changes)
        return answer.status_code == 201 and answer.json()["state"] == "settled"

    await until(settled)


async def _publish(casino: Casino, body: bytes, routing_key: str) -> None:
    connection = await aio_pika.connect(casino.stack.addresses.amqp_url)
    async with connection, connection.channel() as channel:
        exchange = await channel.get_exchange(EVENTS_EXCHANGE, ensure=False)
        await exchange.publish(aio_pika.Message(body), routing_key, mandatory=True)


async def _lose_a_key_of_seeds(casino: Casino) -> Path:
    """A key that is used for a while and then lost; returns the backup that has it. What runs has never heard
    of it."""
    keyring = casino.stack.settings.keyring
    kept = keyring.with_name("keyring-backup.json")
    await _typed(casino, "keys", "rotate", "seeds")
    shutil.copy2(keyring, kept)
    await _typed(casino, "keys", "rotate", "seeds")
    await _typed(casino, "keys", "remove", "seeds", Keyring.load(kept).seeds.active, "--yes")
    return kept


async def _typed(casino: Casino, *words: str) -> None:
    code, output, errors = await casino.croupier(*words)
    assert code == 0, output + errors


async def _session_sealed_by(casino: Casino, keyring: Keyring) -> Player:
    """A session that a program with this keyring has opened."""
    seat = await casino.seat()
    sessions = SessionService(
        casino.database.pool, SeedVault(keyring), TokenIssuer(keyring), lifetime_s=3_600
    )
    session, token = await sessions.open(
        operator_id="demo",
        player_id=seat.player_id,
        game_id="dice",
        currency="EUR",
        client_seed=None,
        mode=REAL,
        limits=NO_LIMITS,
    )
    casino.gateway.secrets.append(token)
    return Player(seat.operator, session.session_id, token)
