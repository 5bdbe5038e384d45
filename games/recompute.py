"""A round's outcome once more, from what a verifier knows after its seed is revealed."""

from collections.abc import Sequence

from games.checks import play_round
from games.draws import HmacDraws
from games.protocol import Chosen, Game, Step, Wager


def recompute(
    game: Game,
    wager: Wager,
    *,
    server_seed: bytes,
    client_seed: str,
    nonce: int,
    actions: Sequence[Chosen] = (),
) -> Step:
    """The step that the game answered after `actions`, or would have. Raises WagerRefused for a bet that
    cannot have been taken, ActionRefused for an action that cannot, ValueError for seeds that are none, and
    GameError."""
    draws = HmacDraws(server_seed=server_seed, client_seed=client_seed, nonce=nonce)
    return play_round(game, wager, draws, actions)
