"""A round's outcome once more, from what a verifier knows after its seed is revealed."""

from games.checks import play_round
from games.draws import HmacDraws
from games.protocol import Game, Step, Wager


def recompute(game: Game, wager: Wager, *, server_seed: bytes, client_seed: str, nonce: int) -> Step:
    """The step that the game answered, or would have. Raises WagerRefused for a bet that cannot have been
    taken, ValueError for seeds that are none, and GameError."""
    return play_round(game, wager, HmacDraws(server_seed=server_seed, client_seed=client_seed, nonce=nonce))
