"""Timeouts and retries, by name: those of the fast path, and of each step on the durable one.

The fast path is one local activity: it costs no history event beyond its marker, and it must end well before
the workflow task does. What fails there is taken on the durable path, each step as a regular activity, which
Temporal retries while no workflow task is held open.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy

from contracts.failures import NON_RETRYABLE
from contracts.webhooks import Retries


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPolicy:
    """`attempt_limit` bounds one attempt, `patience` all of them together; None means without end, for
    steps that may not be given up. A step that sends heartbeats counts as dead after `heartbeat` without
    one."""

    attempt_limit: timedelta
    retry: RetryPolicy
    patience: timedelta | None
    heartbeat: timedelta | None = None


def _growing(*, first_s: float, longest_s: float) -> RetryPolicy:
    """Pauses that double from `first_s` up to `longest_s` seconds."""
    return RetryPolicy(
        initial_interval=timedelta(seconds=first_s),
        maximum_interval=timedelta(seconds=longest_s),
        non_retryable_error_types=list(NON_RETRYABLE),
    )


# How long the fast path may take: it ends before four fifths of the workflow task's timeout (3 s, see
# contracts/steps.py), after which the SDK would have to keep the task alive with a heartbeat.
FAST_PATH_LIMIT: Final = timedelta(seconds=2)
ONE_ATTEMPT: Final = RetryPolicy(maximum_attempts=1)

# Nothing is decided before reserve is certain, so it is given up while the player still waits. Release then
# makes sure that no stake stays held.
RESERVE: Final = StepPolicy(
    attempt_limit=timedelta(seconds=10),  # longer than any operator's wallet may take
    retry=_growing(first_s=0.1, longest_s=2),
    patience=timedelta(seconds=30),
)

# Pure computation: a few failures mean that every attempt fails.
RESOLVE: Final = StepPolicy(
    attempt_limit=timedelta(seconds=5),
    retry=_growing(first_s=0.1, longest_s=2),
    patience=timedelta(seconds=15),
)

# What the player did is on record, and is played when the game is back: without end. The pauses stay short,
# for no manual intervention ends them.
RESOLVE_ACTIONS: Final = StepPolicy(
    attempt_limit=timedelta(seconds=5),
    retry=_growing(first_s=0.1, longest_s=5),
    patience=None,
)

# The outcome is not final yet, so a round that cannot be left open is given up like one that cannot be
# computed.
OPEN: Final = StepPolicy(
    attempt_limit=timedelta(seconds=5),
    retry=_growing(first_s=0.1, longest_s=2),
    patience=timedelta(seconds=60),
)

# From here on the round has an outcome, and an outcome is always paid: without end.
SETTLE: Final = StepPolicy(
    attempt_limit=timedelta(seconds=10),
    retry=_growing(first_s=0.1, longest_s=30),
    patience=None,
)

# An action that is on record is played to its end: without end.
ACT: Final = StepPolicy(
    attempt_limit=timedelta(seconds=10),
    retry=_growing(first_s=0.1, longest_s=30),
    patience=None,
)

# Between two decisions for a player who stays away, where the ledger refused the first.
DECIDE_AGAIN: Final = timedelta(minutes=5)

# A held stake is always released: without end.
RELEASE: Final = StepPolicy(
    attempt_limit=timedelta(seconds=10),
    retry=_growing(first_s=0.1, longest_s=30),
    patience=None,
)

# A person waits for the answer, and may ask again.
INTERVENE: Final = StepPolicy(
    attempt_limit=timedelta(seconds=5),
    retry=_growing(first_s=0.1, longest_s=2),
    patience=timedelta(seconds=30),
)

# The round is settled and the outbox row stands; only the broker's confirm is missing: without end.
EMIT: Final = StepPolicy(
    attempt_limit=timedelta(seconds=5),
    retry=_growing(first_s=0.5, longest_s=30),
    patience=None,
)

# The next run, a minute later, repeats a check that failed.
RECONCILE: Final = StepPolicy(
    attempt_limit=timedelta(seconds=120),
    retry=_growing(first_s=1, longest_s=10),
    patience=timedelta(seconds=150),
)

# One turn of sending a webhook's events takes half a minute; a worker that dies is noticed sooner. While the
# endpoint is down, the pauses grow, up to a length that a repaired endpoint hardly notices.
DISPATCH: Final = StepPolicy(
    attempt_limit=timedelta(seconds=90),
    retry=_growing(first_s=2, longest_s=60),
    patience=None,
    heartbeat=timedelta(seconds=10),
)

# A person waits for what comes of it, and sends another if they want: once.
TEST: Final = StepPolicy(
    attempt_limit=timedelta(seconds=10),  # longer than an endpoint may take
    retry=ONE_ATTEMPT,
    patience=timedelta(seconds=11),
)

# The step only records that an event is dead: without end.
DEAD_LETTER: Final = StepPolicy(
    attempt_limit=timedelta(seconds=10),
    retry=_growing(first_s=1, longest_s=30),
    patience=None,
)


def webhook_attempts(retries: Retries) -> StepPolicy:
    """The retries of an event's delivery, as the settings say. Temporal keeps the pauses, so that days of
    them cost no history event."""
    return StepPolicy(
        attempt_limit=timedelta(seconds=60),  # longer than an attempt waits for its turn and its endpoint
        retry=_growing(first_s=retries.first_s, longest_s=retries.longest_s),
        patience=timedelta(seconds=retries.patience_s),
    )
