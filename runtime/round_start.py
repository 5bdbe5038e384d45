"""What a round's workflow starts with beside its bet: search attributes, a summary, and its version."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import asyncpg
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from contracts import search
from contracts.rounds import Bet
from contracts.steps import NAMED_STEPS, NAMED_STEPS_SCHEMA
from runtime.search_attributes import Keywords
from security.keyring import Keyring
from security.player_ids import PlayerIds
from storage import schema
from storage.database import AWAY

# What Temporal or the database was not ready for is asked again after this time.
LOOK_EVERY_S: Final = 60.0
LOOK_LIMIT: Final = timedelta(seconds=5)


log = logging.getLogger(__name__)


class RoundStart:
    """A round starts without search attributes that its Temporal does not have, and with the first version of
    its workflow while the database serves programs that know no other: a bet never fails for either. Both are
    asked once at the start of a program, and then again, off every round's path, until they are there."""

    def __init__(self, client: Client, keyring: Keyring, pool: asyncpg.Pool) -> None:
        self._client, self._pool = client, pool
        self._players = PlayerIds(keyring)
        self._searchable = False
        self._version = 1
        self._looked_at: float | None = None
        self._warned = False

    def bet(self, bet: Bet) -> Bet:
        """The workflow's argument."""
        return bet if bet.version == self._version else replace(bet, version=self._version)

    def options(self, bet: Bet) -> dict[str, Any]:
        """Options of the start."""
        options: dict[str, Any] = {"static_summary": search.summary(bet)}
        if self._searchable:
            options["search_attributes"] = Keywords(self._found_by(bet))
        return options

    def _found_by(self, bet: Bet) -> dict[str, str]:
        return {
            search.OPERATOR: bet.key.operator_id,
            search.GAME: bet.game_id,
            search.PLAYER: self._players.id_of(bet.key.operator_id, bet.player_id),
            search.MODE: bet.mode,
            search.STAKE: search.stake_band(bet.stake, bet.currency),
            search.KIND: search.kind(bet),
        }

    def refused(self) -> None:
        """Temporal has taken a start without options that it had refused with them."""
        self._searchable = False
        self._warn()

    async def look(self) -> None:
        """Asks for what was not there yet, at most every LOOK_EVERY_S."""
        now = asyncio.get_running_loop().time()
        if self._complete or (self._looked_at is not None and now < self._looked_at + LOOK_EVERY_S):
            return
        self._looked_at = now
        if not self._searchable:
            await self._look_for_attributes()
        if self._version < NAMED_STEPS:
            await self._look_for_older_programs()

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Looks before the block, and now and then while it lasts."""
        await self.look()

        async def keep() -> None:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                await self.look()

        keeping = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping

    @property
    def _complete(self) -> bool:
        return self._searchable and self._version == NAMED_STEPS

    async def _look_for_attributes(self) -> None:
        try:
            await self._client.count_workflows(search.KNOWN, rpc_timeout=LOOK_LIMIT)
        except RPCError as error:
            if error.status is RPCStatusCode.INVALID_ARGUMENT:
                self._warn()
            return
        self._searchable = True
        if self._warned:
            log.info("rounds can be searched in Temporal from now on")

    async def _look_for_older_programs(self) -> None:
        with suppress(*AWAY):
            if await schema.serves_from(self._pool) >= NAMED_STEPS_SCHEMA:
                self._version = NAMED_STEPS

    def _warn(self) -> None:
        if self._warned:
            return
        self._warned = True
        log.warning(
            "Temporal's namespace %s does not know what rounds are found by, so they start without it: run"
            " python -m compose.search_attributes, or make the attributes %s of the type Keyword",
            self._client.namespace,
            ", ".join(search.ATTRIBUTES),
        )
