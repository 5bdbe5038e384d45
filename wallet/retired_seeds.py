"""A session's next seed where the one it has is retired: after a restore players may know what it gives."""

from uuid import uuid4

import asyncpg

from contracts.rounds import Bet
from security.seeds import SeedVault, commitment, new_server_seed
from storage import restores
from storage.seeds import NewSeed


class RetiredSeeds:
    """Replaces seeds that the ledger refuses to draw from. Without a `vault` it replaces none."""

    def __init__(self, pool: asyncpg.Pool, vault: SeedVault | None = None) -> None:
        self._pool = pool
        self._vault = vault

    async def replace(self, bet: Bet, refused: asyncpg.RestrictViolationError) -> None:
        """Gives the bet's session its next seed. Raises `refused` when that was about anything else."""
        if self._vault is None or refused.constraint_name != restores.SEED_IS_RETIRED:
            raise refused
        await restores.replace_seed(
            self._pool, player_key=bet.key.player_key, session_id=bet.session_id, new=new_seed(self._vault)
        )


def new_seed(vault: SeedVault) -> NewSeed:
    """A fresh server seed, sealed. The client's seed stays as it is."""
    seed, seed_id = new_server_seed(), uuid4().hex
    return NewSeed(
        seed_id=seed_id,
        sealed_server_seed=vault.seal(seed_id, seed),
        server_seed_hash=commitment(seed),
        client_seed="",
    )
