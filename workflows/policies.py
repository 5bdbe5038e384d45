"""Timeouts and retries of each step, by name: the short way first, then the patient one.

The short way is a local activity: it costs no history event of its own beyond its marker, and it must
end well before the workflow task does. What does not end in time goes on as a regular activity, which
Temporal retries while no workflow task is held open.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy

from contracts.failures import NON_RETRYABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPolicy:
    """`short_limit` bounds the local activity with its retries. `patience` bounds the regular activity
    with all of its retries; None means without end, for steps that may not be given up."""

    short_limit: timedelta
    short_retry: RetryPolicy
    attempt_limit: timedelta
    retry: RetryPolicy
    patience: timedelta | None


def _growing(*, first_s: float, longest_s: float) -> RetryPolicy:
    """Pauses that double from `first_s` up to `longest_s` seconds."""
    return RetryPolicy(
        initial_interval=timedelta(seconds=first_s),
        maximum_interval=timedelta(seconds=longest_s),
        non_retryable_error_types=list(NON_RETRYABLE),
    )


# A second attempt right away mends a connection that the database or the broker had dropped.
ONE_QUICK_REPEAT: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=20),
    maximum_attempts=2,
    non_retryable_error_types=list(NON_RETRYABLE),
)

# Nothing is decided before reserve is certain, so it is given up while the player still looks on;
# release then makes sure that no stake stays held.
RESERVE: Final = StepPolicy(
    short_limit=timedelta(seconds=1),
    short_retry=ONE_QUICK_REPEAT,
    attempt_limit=timedelta(seconds=5),
    retry=_growing(first_s=0.1, longest_s=2),
    patience=timedelta(seconds=30),
)

# Pure computation: what fails a few times will fail for ever.
RESOLVE: Final = StepPolicy(
    short_limit=timedelta(seconds=1),
    short_retry=ONE_QUICK_REPEAT,
    attempt_limit=timedelta(seconds=5),
    retry=_growing(first_s=0.1, longest_s=2),
    patience=timedelta(seconds=15),
)

# From here on the round has an outcome, and an outcome is always paid: without end.
SETTLE: Final = StepPolicy(
    short_limit=timedelta(seconds=1),
    short_retry=ONE_QUICK_REPEAT,
    attempt_limit=timedelta(seconds=10),
    retry=_growing(first_s=0.1, longest_s=10),
    patience=None,
)

# A held stake is always given back: without end.
RELEASE: Final = StepPolicy(
    short_limit=timedelta(seconds=1),
    short_retry=ONE_QUICK_REPEAT,
    attempt_limit=timedelta(seconds=10),
    retry=_growing(first_s=0.1, longest_s=10),
    patience=None,
)

# The round is settled and the outbox row stands; only the broker's confirm is missing: without end.
EMIT: Final = StepPolicy(
    short_limit=timedelta(seconds=1),
    short_retry=RetryPolicy(maximum_attempts=1, non_retryable_error_types=list(NON_RETRYABLE)),
    attempt_limit=timedelta(seconds=5),
    retry=_growing(first_s=0.5, longest_s=30),
    patience=None,
)
