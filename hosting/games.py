"""One way to ask any game: those that come with Croupier in this process, all others in theirs."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from contracts.choices import Chosen
from games import checks
from games.checks import GameError
from games.draws import HmacDraws
from games.protocol import Draws, Game, InvalidChoice, JsonObject, Mode, Step, Wager
from games.registry import BUILT_IN, PluginError, Registry, load_plugin
from hosting.health import GameHealth
from hosting.lane import Lane
from hosting.messages import FIRST_BLOCKS, Check, Failed, Play, Played, Refused
from hosting.process import GameProcess, Limits, ProcessLost, blocks_of

# Outcomes that are computed again have a process of their own: no bet waits for them.
RECOMPUTING: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedGame:
    """A game whose code runs in other processes: here it is what it declares. Implements games.protocol.Game;
    the functions below ask it."""

    id: str
    version: str
    title: str
    modes: Mapping[str, Mode]
    stakes: tuple[int, ...]
    max_win: int
    choice_schema: JsonObject | None
    rules: JsonObject
    plays: Lane
    recomputes: Lane
    failed: Callable[[str], None]

    def validate(self, wager: Wager) -> None:
        raise RuntimeError(f"{self.id} runs in a process of its own: ask hosting.games")

    def play(
        self, wager: Wager, draws: Draws, state: JsonObject | None = None, chosen: Chosen | None = None
    ) -> Step:
        raise RuntimeError(f"{self.id} runs in a process of its own: ask hosting.games")


@asynccontextmanager
async def opened(
    plugins: Iterable[str], limits: Limits, health: GameHealth | None = None
) -> AsyncIterator[Registry]:
    """All the games, "module:attribute" each. At the end none of their processes is left. Raises
    PluginError."""
    async with AsyncExitStack() as stack:
        games: list[Game] = []
        for plugin in plugins:
            if plugin in BUILT_IN:
                games.append(load_plugin(plugin))
            else:
                games.append(await stack.enter_async_context(_hosted(plugin, limits, health)))
        yield Registry(games)


@contextmanager
def admitted(game: Game) -> Iterator[None]:
    """For a bet or an action on the game, before anything is staked. Raises GameOutOfOrder and GameBusy."""
    if not isinstance(game, HostedGame):
        yield
        return
    with game.plays.admitted():
        yield


async def check_wager(game: Game, wager: Wager) -> None:
    """As games.checks.check_wager. Raises GameError and GameOutOfOrder too."""
    if not isinstance(game, HostedGame):
        checks.check_wager(game, wager)
        return
    checks.check_terms(game, wager)
    if game.choice_schema is None:
        return
    answer = await game.plays.ask(Check(wager=wager))
    if isinstance(answer, Refused):
        raise InvalidChoice(answer.why)
    if isinstance(answer, Failed):
        game.failed(answer.why)
        raise GameError(answer.why)


async def play_round(game: Game, wager: Wager, draws: HmacDraws, actions: Sequence[Chosen] = ()) -> Step:
    """As games.checks.play_round. Raises GameOutOfOrder too; of GameError, GameLost is known to `health`."""
    if not isinstance(game, HostedGame):
        return checks.play_round(game, wager, draws, actions)
    return await _played(game, game.plays, wager, draws, actions)


async def recompute(
    game: Game,
    wager: Wager,
    *,
    server_seed: bytes,
    client_seed: str,
    nonce: int,
    actions: Sequence[Chosen] = (),
) -> Step:
    """As games.recompute.recompute, under the limits of a round. Raises GameOutOfOrder and GameBusy too."""
    draws = HmacDraws(server_seed=server_seed, client_seed=client_seed, nonce=nonce)
    if not isinstance(game, HostedGame):
        return checks.play_round(game, wager, draws, actions)
    with game.recomputes.admitted():
        return await _played(game, game.recomputes, wager, draws, actions)


async def _played(
    game: HostedGame, lane: Lane, wager: Wager, draws: HmacDraws, actions: Sequence[Chosen]
) -> Step:
    checks.check_terms(game, wager)
    question = Play(wager=wager, actions=list(actions), blocks=blocks_of(draws, FIRST_BLOCKS))
    answer = await lane.ask(question, draws)
    if isinstance(answer, Played):
        step = Step(outcome=answer.outcome, win=answer.win, offer=answer.offer)
        return checks.check_step(game, wager, step)
    if isinstance(answer, Refused):
        raise InvalidChoice(answer.why)
    raise GameError(answer.why if isinstance(answer, Failed) else f"{game.id} {game.version} answers nothing")


@asynccontextmanager
async def _hosted(plugin: str, limits: Limits, health: GameHealth | None) -> AsyncIterator[HostedGame]:
    try:
        first, declared = await GameProcess.start(plugin, limits)
    except ProcessLost as error:
        raise PluginError(f"game {plugin}: {error}") from None

    async def start() -> GameProcess:
        process, again = await GameProcess.start(plugin, limits)
        if again != declared:
            await process.end()
            raise ProcessLost("it declares something else than at the start")
        return process

    def failed(why: str) -> None:
        if health is not None:
            health.failed(game, why)

    name = f"{declared.id} {declared.version}"
    plays = Lane(name, start, processes=limits.processes, lost=failed, first=first)
    recomputes = Lane(name, start, processes=RECOMPUTING, lost=lambda _why: None)
    game = HostedGame(
        id=declared.id,
        version=declared.version,
        title=declared.title,
        modes=declared.modes,
        stakes=declared.stakes,
        max_win=declared.max_win,
        choice_schema=declared.choice_schema,
        rules=declared.rules,
        plays=plays,
        recomputes=recomputes,
        failed=failed,
    )
    try:
        yield game
    finally:
        await plays.close()
        await recomputes.close()
