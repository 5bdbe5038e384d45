"""The world that fake steps act on: one player's ledger and the broker, keeping the real ones' promises."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from contracts.actions import ActionVerdict, ActRequest, PlayerAction
from contracts.choices import Abandonment, AskedAction, Offer
from contracts.events import RecordedEvent
from contracts.failures import INSUFFICIENT_FUNDS, VOIDED_BY_OPERATOR
from contracts.interventions import Action, InterveneRequest, InterventionResult, InterventionVerdict
from contracts.rounds import (
    Bet,
    DrawReference,
    EmitRequest,
    OpenRequest,
    ReleaseRequest,
    Resolution,
    ResolveRequest,
    RoundKey,
    RoundState,
    SettleRequest,
)
from contracts.views import RoundView, Settlement
from wallet.steps import WalletConflict, WalletReleasing

OPENING_BALANCE: Final = 1_000
WIN: Final = 250
DRAW: Final = DrawReference(seed_id="seed-1", sealed_server_seed="sealed", client_seed="clover", nonce=7)
BEGAN_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(kw_only=True)
class LedgerRound:
    """A round as the ledger keeps it."""

    bet: Bet
    state: RoundState
    win: int = 0
    event: RecordedEvent | None = None
    failure_code: str | None = None
    failure_detail: str | None = None
    releasing: bool = False
    offer: Offer | None = None
    actions: list[PlayerAction] = field(default_factory=list)
    extra: int = 0
    asked: AskedAction | None = None

    @property
    def staked(self) -> int:
        return self.bet.stake + self.extra

    @property
    def left_s(self) -> float | None:
        if self.offer is None or self.offer.abandonment is Abandonment.HOLD:
            return None
        return float(self.offer.decide_within_s)

    @property
    def event_id(self) -> str | None:
        return self.event.event_id if self.event else None

    @property
    def view(self) -> RoundView:
        """As the ledger shows it."""
        bet, taken = self.bet, [action.chosen for action in self.actions]
        return RoundView(
            key=bet.key,
            player_id=bet.player_id,
            account_id=bet.account_id,
            session_id=bet.session_id,
            game_id=bet.game_id,
            game_version=bet.game_version,
            currency=bet.currency,
            mode=bet.mode,
            stake=bet.stake,
            choice=bet.choice,
            request_id=bet.request_id,
            state=self.state,
            outcome=None,
            win=self.win,
            balance=None,
            sequence=self.event.sequence if self.event else None,
            event_id=self.event_id,
            failure_code=self.failure_code,
            failure_detail=self.failure_detail,
            seed_id=DRAW.seed_id,
            sealed_server_seed=DRAW.sealed_server_seed,
            server_seed_hash="hash",
            client_seed=DRAW.client_seed,
            nonce=DRAW.nonce,
            created_at=BEGAN_AT,
            closed_at=BEGAN_AT if self.state.final else None,
            extra=self.extra,
            actions=len(taken),
            offer=self.offer,
            left_s=self.left_s,
            taken=[{"action": chosen.action, "params": chosen.params} for chosen in taken],
            asked=self.asked,
        )


def asked_of(action: PlayerAction) -> AskedAction:
    return AskedAction(
        action_id=action.action_id, chosen=action.chosen, request_id=action.request_id, by=action.by
    )


@dataclass(kw_only=True)
class World:
    """Every step may be repeated and answers from what it stored; the first terminal of a round wins.
    `effects` lists what changed something, in order: a repeat that only answers leaves no trace there."""

    balance: int = OPENING_BALANCE
    held: int = 0
    rounds: dict[RoundKey, LedgerRound] = field(default_factory=dict)
    published: list[str] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    interventions: dict[str, InterventionVerdict] = field(default_factory=dict)
    offers: list[Offer] = field(default_factory=list)  # the game's, one for each step that is not its last

    def reserve(self, bet: Bet) -> RoundView:
        round_ = self.rounds.get(bet.key)
        if round_ is None:
            round_ = self.rounds[bet.key] = LedgerRound(bet=bet, state=RoundState.PENDING)
            if self.balance - self.held < bet.stake:
                round_.state, round_.failure_code = RoundState.DECLINED, INSUFFICIENT_FUNDS
                self.effects.append("decline")
            else:
                self.held += bet.stake
                self.effects.append("reserve")
        return round_.view

    def resolve(self, request: ResolveRequest) -> Resolution:
        assert request.draw == DRAW
        taken = len(request.actions)
        offer = self.offers[taken] if taken < len(self.offers) else None
        return Resolution(outcome={"reels": [1, 2, 3]}, win=WIN, offer=offer, actions=taken)

    def open(self, request: OpenRequest) -> RoundView:
        round_, resolution = self.rounds[request.bet.key], request.resolution
        if round_.state is RoundState.PENDING and len(round_.actions) == resolution.actions:
            round_.state, round_.offer = RoundState.AWAITING_CHOICE, resolution.offer
            self.effects.append("open")
        return round_.view

    def act(self, request: ActRequest) -> tuple[ActionVerdict, RoundView | None]:
        round_, action = self.rounds[request.bet.key], request.action
        verdict = self._verdict(round_, action)
        if round_.asked is not None and round_.asked.action_id == action.action_id:
            round_.asked = None
        if verdict is ActionVerdict.TAKEN and action not in round_.actions:
            assert round_.offer is not None
            choice = round_.offer.find(action.chosen)
            assert choice is not None
            round_.state, round_.offer = RoundState.PENDING, None
            round_.actions.append(action)
            round_.extra += choice.debit
            self.held += choice.debit
            self.effects.append(f"take {action.chosen.action}")
        return verdict, round_.view

    def _verdict(self, round_: LedgerRound, action: PlayerAction) -> ActionVerdict:
        known = [taken for taken in round_.actions if taken.action_id == action.action_id]
        if known:
            if known[0].chosen != action.chosen:
                return ActionVerdict.ID_REUSED
            again = known[0].request_id == action.request_id
            return ActionVerdict.TAKEN if again else ActionVerdict.REPLAYED
        if round_.state.final:
            return ActionVerdict.ROUND_CLOSED
        if round_.offer is None or round_.asked not in (None, asked_of(action)):
            return ActionVerdict.WRONG_STATE
        if action.after not in (None, len(round_.actions)):
            return ActionVerdict.STALE
        choice = round_.offer.find(action.chosen)
        if choice is None:
            return ActionVerdict.UNKNOWN_CHOICE
        too_dear = self.balance - self.held < choice.debit
        return ActionVerdict.INSUFFICIENT_FUNDS if too_dear else ActionVerdict.TAKEN

    def leave_at_wallet(self, bet: Bet, action: PlayerAction) -> None:
        """As a round at an operator's wallet is that waits, and whose workflow was lost while the wallet was
        asked for what the action costs."""
        self.reserve(bet)
        self.open(OpenRequest(bet=bet, resolution=self.resolve(ResolveRequest(bet=bet, draw=DRAW))))
        self.rounds[bet.key].asked = asked_of(action)

    def settle(self, request: SettleRequest) -> Settlement:
        round_ = self.rounds.get(request.bet.key)
        if round_ is None:
            raise WalletConflict("nothing reserved")
        if round_.state.final:
            return Settlement(view=round_.view, event=None)
        if round_.releasing:
            raise WalletReleasing("releasing")
        if round_.state is not RoundState.SETTLING:
            assert request.resolution is not None, "nothing is on record"
            assert request.resolution.actions == len(round_.actions)
            assert round_.offer is None
            round_.win = request.resolution.win
        self._settle(round_)
        return Settlement(view=round_.view, event=round_.event)

    def record(self, bet: Bet, win: int) -> None:
        """As a settle does at an operator's wallet that does not take the win: the result is on record."""
        round_ = self.rounds[bet.key]
        round_.state, round_.win = RoundState.SETTLING, win
        self.effects.append("record")

    def take_win(self, bet: Bet) -> None:
        """As an operator's wallet does that took the win before it is told the rollback."""
        round_ = self.rounds[bet.key]
        round_.failure_code = None
        self._settle(round_)

    def release(self, request: ReleaseRequest) -> RoundView:
        round_ = self.rounds.get(request.bet.key)
        if round_ is not None and round_.state is RoundState.SETTLING and not round_.releasing:
            return round_.view
        if round_ is None or not round_.state.final:
            if round_ is None:  # a tombstone: the reserve that comes late finds it and holds nothing
                round_ = self.rounds[request.bet.key] = LedgerRound(bet=request.bet, state=RoundState.VOID)
            else:
                self.held -= round_.staked
                round_.win, round_.offer = 0, None
            if not round_.releasing:
                round_.failure_code = request.failure_code
                round_.failure_detail = request.failure_detail
            self._close(round_, RoundState.VOID)
            self.effects.append("release")
        return round_.view

    def intervene(self, request: InterveneRequest) -> InterventionResult:
        """A round whose result is on record is one at an operator's wallet."""
        decided, round_ = request.intervention, self.rounds[request.bet.key]
        if decided.intervention_id not in self.interventions:
            at_wallet = round_.state is RoundState.SETTLING
            allowed = (
                not round_.state.final
                and {
                    Action.RETRY_NOW: True,
                    Action.VOID: True,
                    Action.PAID_OUTSIDE: at_wallet and not round_.releasing,
                    Action.REFUNDED_OUTSIDE: at_wallet,
                }[decided.action]
            )
            verdict = InterventionVerdict.ACCEPTED if allowed else InterventionVerdict.REFUSED
            self.interventions[decided.intervention_id] = verdict
            if allowed and decided.action is Action.PAID_OUTSIDE:
                self._settle(round_)
            if allowed and decided.action in (Action.VOID, Action.REFUNDED_OUTSIDE):
                round_.releasing, round_.failure_code = True, VOIDED_BY_OPERATOR
                if decided.action is Action.REFUNDED_OUTSIDE or not at_wallet:
                    self.release(
                        ReleaseRequest(bet=request.bet, failure_code=VOIDED_BY_OPERATOR, failure_detail="")
                    )
        return InterventionResult(
            verdict=self.interventions[decided.intervention_id],
            state=round_.state,
            releasing=round_.releasing and not round_.state.final,
        )

    def emit(self, request: EmitRequest) -> bool:
        """True when this call published the event, False when it had been before."""
        events = [r.event for r in self.rounds.values() if r.event and r.event_id == request.event_id]
        assert events, f"no event {request.event_id} is recorded"
        if request.event_id in self.published:
            return False
        self.publish(*events)
        return True

    def publish(self, event: RecordedEvent) -> None:
        """Publishes though it be published already, as `emit_now` does: consumers apply an event once."""
        assert event in [round_.event for round_ in self.rounds.values()]
        if event.event_id not in self.published:
            self.published.append(event.event_id)
            self.effects.append("emit")

    def assert_whole(self) -> None:
        """What money.md demands once a round has ended: nothing held, one terminal, one event, the sums."""
        for round_ in self.rounds.values():
            assert round_.state.final, f"the round was left {round_.state}"
        assert self.held == 0, f"{self.held} stayed held"
        assert self.effects.count("settle") + self.effects.count("release") <= len(self.rounds)
        won = [r.win - r.staked for r in self.rounds.values() if r.state is RoundState.SETTLED]
        assert self.balance == OPENING_BALANCE + sum(won)
        events = [r.event_id for r in self.rounds.values() if r.event_id is not None]
        assert sorted(self.published) == sorted(events), "each terminal's event is published exactly once"

    def _settle(self, round_: LedgerRound) -> None:
        self.held -= round_.staked
        self.balance += round_.win - round_.staked
        self._close(round_, RoundState.SETTLED)
        self.effects.append("settle")

    @staticmethod
    def _close(round_: LedgerRound, state: RoundState) -> None:
        round_.state = state
        round_.event = RecordedEvent(
            event_id=f"{round_.bet.key.round_id}.{state}",
            type=f"round.{state}",
            operator_id=round_.bet.key.operator_id,
            game_id=round_.bet.game_id,
            subject=round_.bet.key.round_id,
            sequence=1,
            occurred_at="2026-01-01T00:00:00Z",
            data="{}",
        )
