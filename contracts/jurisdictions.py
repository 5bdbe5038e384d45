"""Jurisdictions as data: the rules that a session of one is played by, each with its source.

They are what the sources said in 2025, for online slots, where a rule can be enforced by the server of the
games. They are no legal advice: an operator has its own counsel confirm them, and narrows them with the
session's own limits where its licence, its game or its player's age asks for more. Whichever is stricter
holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from contracts.choices import Abandonment, Offer
from contracts.limits import SessionLimits


class UnknownJurisdiction(ValueError):
    """There is no profile of this code."""


class UnknownCurrency(ValueError):
    """The jurisdiction states its amounts in other currencies, so its limit in this one is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jurisdiction:
    """`max_stake` and `loss_limit` map currencies to minor units; None does not limit. `abandonment` is what
    becomes of a round that its player leaves while it waits for a choice, after `abandonment_after_s`
    seconds; None leaves both to the game."""

    code: str
    title: str
    max_stake: Mapping[str, int] | None = None
    loss_limit: Mapping[str, int] | None = None
    max_session_s: int | None = None
    min_cycle_ms: int | None = None
    abandonment: Abandonment | None = None
    abandonment_after_s: int | None = None

    def limits(self, currency: str) -> SessionLimits:
        """Raises UnknownCurrency."""
        return SessionLimits(
            max_stake=self._amount(self.max_stake, currency),
            loss_limit=self._amount(self.loss_limit, currency),
            max_session_s=self.max_session_s,
            min_cycle_ms=self.min_cycle_ms,
        )

    def applied_to(self, offer: Offer) -> Offer:
        """The game's offer, with the jurisdiction's rule for a player who stays away."""
        if self.abandonment is None or self.abandonment_after_s is None:
            return offer
        return replace(offer, abandonment=self.abandonment, decide_within_s=self.abandonment_after_s)

    def _amount(self, amounts: Mapping[str, int] | None, currency: str) -> int | None:
        if amounts is None:
            return None
        if currency not in amounts:
            raise UnknownCurrency(f"{self.code} is played in {', '.join(sorted(amounts))}")
        return amounts[currency]


_PROFILES: Final = (
    Jurisdiction(code="none", title="No jurisdiction's rules"),
    Jurisdiction(
        code="AU-ACT",
        title="Australian Capital Territory",
        # Interactive Gambling Act 1998, section 123: where a failure of a system keeps the player from going
        # on, the wager is refunded as soon as practicable. The day until then is ours: the player may return.
        abandonment=Abandonment.REFUND,
        abandonment_after_s=86_400,
    ),
    Jurisdiction(
        code="DE",
        title="Germany, virtual slot machines",
        # Glücksspielstaatsvertrag 2021, section 22a: at most 1 euro for a game.
        max_stake=MappingProxyType({"EUR": 100}),
        # The same section: at least five seconds for a game. Held to for each one, not for their mean.
        min_cycle_ms=5_000,
    ),
    Jurisdiction(
        code="GB",
        title="Great Britain, online slots",
        # Gambling Act 2005, the operating licences' condition about the stakes of online slots: 5 pounds for
        # a game cycle, since 9 April 2025. For players of 18 to 24 it is 2 pounds: the operator, who knows
        # the age, says so by the session's own `max_stake`.
        max_stake=MappingProxyType({"GBP": 500}),
        # Gambling Commission, Remote technical standards, RTS 14: 2.5 seconds for a slot's game cycle. Other
        # casino games take 5 seconds since 17 January 2025: by the session's own `min_cycle_ms`.
        min_cycle_ms=2_500,
    ),
    # Malta Gaming Authority, Player Protection Directive (Directive 2 of 2018): the player sets limits of
    # stake, loss and time, and no figure is prescribed. The operator hands the player's own over as the
    # session's.
    Jurisdiction(code="MT", title="Malta"),
)
JURISDICTIONS: Final[Mapping[str, Jurisdiction]] = MappingProxyType({item.code: item for item in _PROFILES})


def jurisdiction(code: str | None) -> Jurisdiction:
    """The profile of a code; of none, the one without rules. Raises UnknownJurisdiction."""
    try:
        return JURISDICTIONS[code or "none"]
    except KeyError:
        raise UnknownJurisdiction(
            f"there is no such jurisdiction; known: {', '.join(JURISDICTIONS)}"
        ) from None
