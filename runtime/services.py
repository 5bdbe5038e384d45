"""What the ingress asks of the rest of the program, apart from playing rounds: sessions, players, history."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from uuid import uuid4

import asyncpg

from contracts.events import RecordedEvent, Told
from contracts.limits import SessionLimits
from contracts.movements import StatementEntry, StatementFilter, WithdrawalView
from contracts.records import RoundRecord
from contracts.rounds import RoundKey
from contracts.seeds import Commitment, RotationVerdict
from contracts.sessions import DEMO, REAL, SessionClaims
from contracts.views import (
    ApiKeyRecord,
    ApiKeyView,
    BalanceView,
    DepositView,
    IssuedApiKey,
    RoundFilter,
    RoundView,
    SessionView,
)
from contracts.wallet import WalletVerdict
from security.api_keys import ApiKeyInvalid, KeyScope, new_api_key, parse_api_key
from security.seeds import SeedVault, commitment, new_server_seed
from security.tokens import TokenIssuer
from storage import (
    game_events,
    game_switches,
    history,
    operators,
    players,
    rounds,
    seeds,
    sessions,
    statement,
    timeline,
)
from storage.database import AWAY, Database
from storage.feed import Feed
from storage.seeds import NewSeed
from wallet.directory import WalletDirectory

# What every call here may raise while the database is away: the same call may succeed later.
DATABASE_AWAY: Final = AWAY
# What a player of play money has at the beginning of each demo session, at least: minor units of any
# currency.
PLAY_MONEY: Final = 100_000
# A revoked key is refused at the latest after this time.
KEY_CACHE_S: Final = 10.0
KEY_CACHE_LIMIT: Final = 10_000
NO_LIMITS: Final = SessionLimits()


class Sessions:
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
    ) -> tuple[SessionView, str]:
        """A new session and its token. The player and the account are made when they are missing. With play
        money (DEMO) both are apart from those of real money, and the account is filled. `limits` are those
        that hold: the jurisdiction's are in them already."""
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
            server_seed_hash=commitment(server_seed),
            client_seed=client_seed or uuid4().hex,
            next_nonce=0,
            expires_at=datetime.fromtimestamp(expires_at, UTC),
            ended_at=None,
        )
        sealed = self._vault.seal(seed_id, server_seed)
        session = await sessions.open_session(self._pool, session, seed_id=seed_id, sealed_server_seed=sealed)
        if session.demo:
            await sessions.give_play_money(self._pool, session, amount=PLAY_MONEY)
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


class NoAccount(Exception):
    """The session's player has no account in our ledger."""


class WalletSilent(Exception):
    """The operator's own wallet did not say what its player has. The text is the code of its answer."""


class Players:
    """Balances, deposits, withdrawals and statements; all but `available` of our own ledger alone."""

    def __init__(self, pool: asyncpg.Pool, wallets: WalletDirectory) -> None:
        self._pool = pool
        self._wallets = wallets

    def kept_elsewhere(self, operator_id: str) -> bool:
        """Whether the operator's own wallet has its players' money."""
        return self._wallets.keeps_money_of(operator_id)

    async def find(self, *, operator_id: str, player_id: str, demo: bool = False) -> int | None:
        """Our own key of the operator's player, with real money or with play money."""
        return await players.find_player(self._pool, operator_id=operator_id, player_id=player_id, demo=demo)

    async def block(self, *, operator_id: str, player_id: str, blocked: bool) -> bool:
        """Whether the operator has such a player. Rounds under way finish."""
        return await players.block(self._pool, operator_id=operator_id, player_id=player_id, blocked=blocked)

    async def available(self, claims: SessionClaims) -> int:
        """What the session's player can bet, in minor units: what the operator's own wallet says where there
        is one, what our ledger says otherwise, and of play money always. Raises NoAccount, and within
        LOOK_LIMIT_S WalletSilent."""
        own = await players.balance(self._pool, player_key=claims.player_key, currency=claims.currency)
        if own is None:
            raise NoAccount
        if claims.demo or not self.kept_elsewhere(claims.operator_id):
            return own.available
        answer = await self._wallets.balance(
            operator_id=claims.operator_id,
            player_id=claims.player_id,
            session_id=claims.session_id,
            currency=claims.currency,
        )
        if answer.verdict is not WalletVerdict.ACCEPTED or answer.balance is None:
            raise WalletSilent(answer.code)
        return answer.balance

    async def balance(self, *, operator_id: str, player_id: str, currency: str) -> BalanceView | None:
        key = await self.find(operator_id=operator_id, player_id=player_id)
        if key is None:
            return None
        return await players.balance(self._pool, player_key=key, currency=currency)

    async def deposit(
        self, *, operator_id: str, player_id: str, transaction_id: str, amount: int, currency: str
    ) -> DepositView:
        """Once per transaction id. The player and the account are made when they are missing."""
        player_key, account_id = await sessions.ensure_account(
            self._pool, operator_id=operator_id, player_id=player_id, currency=currency
        )
        return await players.deposit(
            self._pool,
            operator_id=operator_id,
            player_key=player_key,
            account_id=account_id,
            transaction_id=transaction_id,
            amount=amount,
            currency=currency,
        )

    async def withdraw(
        self, *, operator_id: str, player_id: str, transaction_id: str, amount: int, currency: str
    ) -> WithdrawalView | None:
        """Once per transaction id; None when there is no such player."""
        player_key = await self.find(operator_id=operator_id, player_id=player_id)
        if player_key is None:
            return None
        return await players.withdraw(
            self._pool,
            operator_id=operator_id,
            player_key=player_key,
            transaction_id=transaction_id,
            amount=amount,
            currency=currency,
        )

    async def statement(
        self, wanted: StatementFilter, *, before: int | None, limit: int
    ) -> tuple[list[StatementEntry], int | None]:
        """At most `limit` entries, newest first, and where the next page begins."""
        return await statement.page(self._pool, wanted, before=before, limit=limit)


class GameSwitches:
    """Which games an operator offers."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def switch(self, *, operator_id: str, game_id: str, enabled: bool) -> None:
        await game_switches.switch(self._pool, operator_id=operator_id, game_id=game_id, enabled=enabled)


class Rounds:
    """Reads rounds; they are written by their workflows alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key: RoundKey) -> RoundView | None:
        return await rounds.find(self._database.pool, key)

    async def sequence(self, player_key: int) -> int | None:
        """The sequence of what closed last of the player's; None for an unknown player."""
        return await rounds.sequence(self._database.pool, player_key)

    async def closed_after(self, player_key: int, *, sequence: int, limit: int) -> list[RoundView]:
        """At most `limit` of the player's rounds that closed after `sequence`, in that order."""
        return await rounds.closed_after(
            self._database.pool, player_key=player_key, sequence=sequence, limit=limit
        )

    async def record(self, key: RoundKey) -> RoundRecord:
        """Everything that is stored of the round, which must be there, as of one moment."""
        return await timeline.record(self._database.pool, key)

    async def open_round(self, *, player_key: int, game_id: str) -> str | None:
        return await sessions.open_round(self._database.pool, player_key=player_key, game_id=game_id)

    async def page(
        self, wanted: RoundFilter, *, before: int | None = None, limit: int
    ) -> tuple[list[RoundView], int | None]:
        """At most `limit` rounds that pass the filter, newest first, and where the next page begins."""
        return await history.page(self._database.pool, wanted, before=before, limit=limit)


class EventFeed:
    """An operator's events, oldest first, for whoever asks instead of listening at the broker."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._feed = Feed(pool)

    async def page(
        self, *, operator_id: str, after: int | None, limit: int
    ) -> tuple[list[RecordedEvent], int]:
        """At most `limit` events behind `after`, and where to go on: at the end, the same place again."""
        return await self._feed.page(operator_id=operator_id, after=after, limit=limit)


class GameEvents:
    """What game clients tell of themselves."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def tell(self, claims: SessionClaims, events: Sequence[dict[str, Any]]) -> Told:
        """Records {event_id, type, at, data} for the session's player, all or none, each once."""
        return await game_events.tell(
            self._pool,
            operator_id=claims.operator_id,
            player_key=claims.player_key,
            session_id=claims.session_id,
            events=events,
        )


@dataclass(frozen=True, slots=True)
class _CachedKey:
    key: ApiKeyView
    until: float  # of the monotonic clock, in seconds


_Cached = TypeVar("_Cached")


class LookUpRefused(Exception):
    """Nobody here knows the key, and the asker may not have it looked up now."""


class TooManyKeys(Exception):
    """The operator has as many keys as it may have."""


class OperatorKeys:
    """Authenticates API keys, and makes, rotates and revokes them.

    What was found is remembered for KEY_CACHE_S, and its end is honoured at once. A key id that
    is unknown costs a query once in that time, and a stranger with many of them gets no more than the asker's
    budget. Keys that were found before are looked up again without any: no stranger keeps an operator out.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._found: dict[str, _CachedKey] = {}
        self._unknown: dict[str, float] = {}

    async def authenticate(
        self, presented: str, *, may_look_up: Callable[[], bool] = lambda: True
    ) -> ApiKeyView | None:
        """The stored key that `presented` is, or None. Raises LookUpRefused when `may_look_up` says no and
        the key is not known here."""
        try:
            parsed = parse_api_key(presented)
        except ApiKeyInvalid:
            return None
        key = await self._find(parsed.key_id, may_look_up)
        if key is None or not parsed.matches(key.secret_hash):
            return None
        return None if key.expires_at is not None and key.expires_at <= datetime.now(UTC) else key

    async def _find(self, key_id: str, may_look_up: Callable[[], bool]) -> ApiKeyView | None:
        now = time.monotonic()
        cached = self._found.get(key_id)
        if cached is not None and cached.until > now:
            return cached.key
        if self._unknown.get(key_id, 0.0) > now:
            return None
        if cached is None and not may_look_up():
            raise LookUpRefused
        key = await operators.find_key(self._pool, key_id)
        if key is None:
            self._found.pop(key_id, None)
            _remember(self._unknown, key_id, now + KEY_CACHE_S)
        else:
            # Counted from before the question: it may have been revoked while the answer was on its way.
            _remember(self._found, key_id, _CachedKey(key, now + KEY_CACHE_S))
        return key

    async def issue(
        self, *, operator_id: str, scope: KeyScope, expires_at: datetime | None = None
    ) -> IssuedApiKey | None:
        """A new key; None when there is no such operator. Raises TooManyKeys."""
        key = new_api_key()
        stored = ApiKeyView(
            key_id=key.key_id,
            operator_id=operator_id,
            secret_hash=key.secret_hash,
            scope=scope,
            expires_at=expires_at,
        )
        verdict = await operators.add_key(self._pool, stored)
        if verdict == "too-many":
            raise TooManyKeys
        if verdict == "no-operator":
            return None
        return IssuedApiKey(key_id=key.key_id, text=key.text, scope=scope, expires_at=expires_at)

    async def rotate(self, *, operator_id: str, key_id: str, overlap_s: int) -> IssuedApiKey | None:
        """A new key of the same scope, while the old one goes on for `overlap_s`; None when the operator
        has no such key that still opens something."""
        key = new_api_key()
        rotated = await operators.rotate_key(
            self._pool,
            operator_id=operator_id,
            key_id=key_id,
            new_id=key.key_id,
            secret_hash=key.secret_hash,
            overlap_s=overlap_s,
        )
        if rotated is None:
            return None
        self._found.pop(key_id, None)
        scope, until = rotated
        return IssuedApiKey(
            key_id=key.key_id, text=key.text, scope=scope, replaces=key_id, replaced_until=until
        )

    async def revoke(self, *, operator_id: str, key_id: str) -> bool:
        """Whether the operator has such a key. This process refuses it at once, others within KEY_CACHE_S."""
        known = await operators.revoke_key(self._pool, operator_id=operator_id, key_id=key_id)
        if known:
            self._found.pop(key_id, None)
        return known

    async def listed(self, operator_id: str) -> list[ApiKeyRecord]:
        return await operators.list_keys(self._pool, operator_id=operator_id)


def _remember(cache: dict[str, _Cached], key_id: str, value: _Cached) -> None:
    """The oldest goes when there is no room."""
    if key_id not in cache and len(cache) >= KEY_CACHE_LIMIT:
        cache.pop(next(iter(cache)))
    cache[key_id] = value
