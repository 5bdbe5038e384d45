"""Rotating a session's seed: the named statement and the mapping of its row."""

from dataclasses import dataclass
from typing import Final

import asyncpg

from contracts.seeds import Commitment, RotationVerdict

ROTATE: Final = """
    SELECT verdict, open_round,
           (revealed).id AS revealed_id, (revealed).sealed_server_seed AS revealed_sealed,
           (revealed).server_seed_hash AS revealed_hash, (revealed).client_seed AS revealed_client_seed,
           (revealed).next_nonce - 1 AS last_nonce,
           (following).server_seed_hash AS next_hash, (following).client_seed AS next_client_seed,
           (following).next_nonce AS next_nonce
    FROM rotate_seed_v1($1, $2, $3, $4, $5, $6, $7, $8)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevealedSeed:
    """A seed that nothing is drawn from any more. `last_nonce` is None when nothing was drawn from it."""

    seed_id: str
    sealed_server_seed: str
    server_seed_hash: str
    client_seed: str
    last_nonce: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """`revealed` is set when it was rotated or replayed, `open_round` when that round was in the way."""

    verdict: RotationVerdict
    open_round: str | None
    revealed: RevealedSeed | None
    following: Commitment


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSeed:
    """The seed to commit to next."""

    seed_id: str
    sealed_server_seed: str
    server_seed_hash: str
    client_seed: str


async def rotate(
    pool: asyncpg.Pool,
    *,
    operator_id: str,
    player_key: int,
    session_id: str,
    expected_hash: str | None,
    new: NewSeed,
) -> Rotation | None:
    """Reveals the session's seed and commits to `new`, or refuses. Returns None when there is no such
    session. `expected_hash` names the seed to reveal by its commitment."""
    row = await pool.fetchrow(
        ROTATE,
        operator_id,
        player_key,
        session_id,
        new.client_seed,
        expected_hash,
        new.seed_id,
        new.sealed_server_seed,
        new.server_seed_hash,
    )
    return None if row is None else _rotation(row)


def _rotation(row: asyncpg.Record) -> Rotation:
    return Rotation(
        verdict=RotationVerdict(row["verdict"]),
        open_round=row["open_round"],
        revealed=None if row["revealed_id"] is None else _revealed(row),
        following=Commitment(
            server_seed_hash=row["next_hash"],
            client_seed=row["next_client_seed"],
            next_nonce=row["next_nonce"],
        ),
    )


def _revealed(row: asyncpg.Record) -> RevealedSeed:
    return RevealedSeed(
        seed_id=row["revealed_id"],
        sealed_server_seed=row["revealed_sealed"],
        server_seed_hash=row["revealed_hash"],
        client_seed=row["revealed_client_seed"],
        last_nonce=None if row["last_nonce"] < 0 else row["last_nonce"],
    )
