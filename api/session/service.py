"""Game sessions: opened, found, prolonged, ended; and their seeds rotated."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import asyncpg

from contracts.limits import SessionLimits
from contracts.seeds import Commitment, RotationVerdict
from contracts.sessions import DEMO, REAL, SessionClaims
from contracts.views import SessionView
from security.seeds import SeedVault, commitment, new_server_seed
from security.tokens import TokenIssuer
from storage import seeds, sessions
from storage.seeds import NewSeed
from storage.sessions import OperatorDisabled as OperatorDisabled

# The least balance at the beginning of a demo session, in minor units of any currency.
DEMO_BALANCE: Final = 100_000
NO_LIMITS: Final = SessionLimits()


class SessionService:
    """Opens, finds, prolongs and ends game sessions."""

    def __init__(self, pool: asyncpg.Pool, vault: SeedVault, issuer: TokenIssuer, *, lifetime_s: int) -> None:
        self._pool = pool
        self._vault = vault
        self._issuer = issuer
        self._lifetime_s = lifetime_s

    async def open(
        self,
        *,
        operator_id: str,
        player_id: str,
        game_id: str,
        currency: str,
        client_seed: str | None,
        mode: str = REAL,
        jurisdiction: str | None = None,
        limits: SessionLimits = NO_LIMITS,
        brand: str | None = None,
    ) -> tuple[SessionView, str]:
        """A new session and its token. The player and the account are made when they are missing. With demo
        money (DEMO) both are apart from those of real money, and the account is filled. `limits` include the
        jurisdiction's already. Raises OperatorDisabled."""
        player_key, account_id = await sessions.ensure_account(
            self._pool, operator_id=operator_id, player_id=player_id, currency=currency, demo=mode == DEMO
        )
        server_seed, seed_id = new_server_seed(), uuid4().hex
        expires_at = int(time.time()) + min(self._lifetime_s, limits.max_session_s or self._lifetime_s)
        session = SessionView(
            session_id=uuid4().hex,
            operator_id=operator_id,
            player_id=player_id,
            player_key=player_key,
            account_id=account_id,
            game_id=game_id,
            currency=currency,
            mode=mode,
            jurisdiction=jurisdiction,
            limits=limits.as_json() or None,
            brand=brand,
            server_seed_hash=commitment(server_seed),
            client_seed=client_seed or uuid4().hex,
            next_nonce=0,
            expires_at=datetime.fromtimestamp(expires_at, UTC),
            ended_at=None,
        )
        sealed = self._vault.seal(seed_id, server_seed)
        session = await sessions.open_session(self._pool, session, seed_id=seed_id, sealed_server_seed=sealed)
        if session.demo:
            await sessions.grant_demo_money(self._pool, session, amount=DEMO_BALANCE)
        return session, self._issuer.issue(_claims(session, expires_at))

    async def find(self, *, operator_id: str, session_id: str) -> SessionView | None:
        return await sessions.find_session(self._pool, session_id=session_id, operator_id=operator_id)

    async def refresh(self, session: SessionView) -> tuple[datetime, str] | None:
        """A later expiry, never past the longest time that the session may last, and the token that has it.
        None when the session is over, whether it was ended or its time is up."""
        now = datetime.now(UTC)
        until = datetime.fromtimestamp(int(now.timestamp()) + self._lifetime_s, UTC)
        if session.ends_by is not None:
            if session.ends_by <= now:
                return None
            until = min(until, session.ends_by)
        expires_at = await sessions.prolong_session(
            self._pool, session_id=session.session_id, operator_id=session.operator_id, until=until
        )
        if expires_at is None:
            return None
        return expires_at, self._issuer.issue(_claims(session, int(expires_at.timestamp())))

    async def rotate_seed(
        self, claims: SessionClaims, *, client_seed: str, expected_hash: str | None
    ) -> "Reveal | None":
        """Reveals the session's server seed and commits to a new one; None when there is no such session.
        `expected_hash` names the seed to reveal by its commitment. Raises SealBroken or UnknownKey when the
        seed does not open; the same request made again answers the reveal once it does."""
        server_seed, seed_id = new_server_seed(), uuid4().hex
        rotation = await seeds.rotate(
            self._pool,
            operator_id=claims.operator_id,
            player_key=claims.player_key,
            session_id=claims.session_id,
            expected_hash=expected_hash,
            new=NewSeed(
                seed_id=seed_id,
                sealed_server_seed=self._vault.seal(seed_id, server_seed),
                server_seed_hash=commitment(server_seed),
                client_seed=client_seed,
            ),
        )
        if rotation is None:
            return None
        old = rotation.revealed
        return Reveal(
            verdict=rotation.verdict,
            open_round=rotation.open_round,
            revealed=None
            if old is None
            else OpenedSeed(
                server_seed=self._vault.open(old.seed_id, old.sealed_server_seed),
                server_seed_hash=old.server_seed_hash,
                client_seed=old.client_seed,
                last_nonce=old.last_nonce,
            ),
            following=rotation.following,
        )

    async def end(self, *, operator_id: str, session_id: str) -> bool:
        """Whether the operator has such a session. Rounds in flight finish."""
        return await sessions.end_session(self._pool, session_id=session_id, operator_id=operator_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSeed:
    """A revealed seed in the clear. `last_nonce` is None when nothing was drawn from it."""

    server_seed: bytes = field(repr=False)
    server_seed_hash: str
    client_seed: str
    last_nonce: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reveal:
    """What became of a rotation. `revealed` is set when it was rotated or replayed."""

    verdict: RotationVerdict
    open_round: str | None
    revealed: OpenedSeed | None
    following: Commitment


def _claims(session: SessionView, expires_at: int) -> SessionClaims:
    return SessionClaims(
        session_id=session.session_id,
        operator_id=session.operator_id,
        player_id=session.player_id,
        player_key=session.player_key,
        account_id=session.account_id,
        game_id=session.game_id,
        currency=session.currency,
        mode=session.mode,
        expires_at=expires_at,
        jurisdiction=session.jurisdiction,
    )
