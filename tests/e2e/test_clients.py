"""The clients in clients/ at the running gateway: what they say of their rounds is what the ledger says."""

import asyncio
import json
import os
import runpy
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from croupier_client import (
    AsyncGameClient,
    AsyncOperatorClient,
    Decision,
    GameClient,
    IdReused,
    InsufficientFunds,
    Money,
    NotFound,
    OperatorClient,
    Patience,
    Round,
    RoundClosed,
    RoundState,
    Unauthenticated,
    WrongState,
)

from api.app import described
from games.protocol import Wager
from games.recompute import recompute
from games.registry import Registry
from tests.e2e.node import TYPESCRIPT, node, run_node
from tests.e2e.parties import OVER_HALF, Gateway, Operator
from tests.support.conditions import until

STAKE = 100


@pytest.fixture(scope="module")
async def own(gateway: Gateway) -> Operator:
    return await gateway.new_operator()


@pytest.fixture
async def operator(base_url: str, own: Operator) -> AsyncIterator[AsyncOperatorClient]:
    async with AsyncOperatorClient(base_url, own.key) as client:
        yield client


class LosesAnswers(httpx.AsyncBaseTransport):
    """Sends every request, and loses the answers to the first ones."""

    def __init__(self, losses: int) -> None:
        self.lost, self._losses = 0, losses
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if self.lost < self._losses:
            await response.aread()
            self.lost += 1
            raise httpx.ReadTimeout("the answer is lost", request=request)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class TestPython:
    async def test_plays_looks_back_and_checks_what_was_drawn(
        self, gateway: Gateway, base_url: str, operator: AsyncOperatorClient
    ) -> None:
        opened = await operator.open_session("anna", "dice", "EUR", client_seed="anna-s-own")
        gateway.secrets.append(opened.token)
        assert opened.token not in repr(opened)
        moved = await operator.deposit("anna", Money(1_000, "EUR"), transaction_id="d-1")
        assert moved == await operator.deposit("anna", Money(1_000, "EUR"), transaction_id="d-1")
        async with AsyncGameClient(base_url, opened.token) as game:
            session = await game.session()
            assert (session.player_id, session.balance, session.client_seed) == (
                "anna",
                Money(1_000, "EUR"),
                "anna-s-own",
            )
            rounds = [await game.bet(STAKE, OVER_HALF) for _ in range(3)]
            assert {round_.state for round_ in rounds} == {RoundState.SETTLED}
            assert [round_ async for round_ in game.history()] == rounds[::-1]
            assert (await game.rounds(limit=2)).items == tuple(rounds[:0:-1])
            assert await game.round(rounds[0].round_id) == rounds[0]
            assert await game.balance() == rounds[-1].balance
            assert rounds[-1].balance == Money(
                1_000 + sum(round_.win.amount - STAKE for round_ in rounds), "EUR"
            )
            rotated = await game.rotate_seed("anna-s-next", session.server_seed_hash)
        assert rotated.next_client_seed == "anna-s-next"
        self._assert_drawn_from(rotated.revealed.server_seed, rounds)
        await operator.end_session(opened.session_id)

    def _assert_drawn_from(self, server_seed: str, rounds: list[Round]) -> None:
        for round_ in rounds:
            fairness = round_.fairness
            assert fairness.client_seed is not None
            assert fairness.nonce is not None
            step = recompute(
                Registry.load().get(round_.game.id, round_.game.version),
                Wager(stake=STAKE, mode=round_.mode, choice=OVER_HALF),
                server_seed=bytes.fromhex(server_seed),
                client_seed=fairness.client_seed,
                nonce=fairness.nonce,
            )
            assert (step.outcome, step.win) == (round_.outcome, round_.win.amount)

    async def test_repeats_a_bet_whose_answers_were_lost_and_plays_it_once(
        self, base_url: str, own: Operator
    ) -> None:
        player = await own.open_session(balance=1_000)
        lossy = LosesAnswers(2)
        async with httpx.AsyncClient(transport=lossy) as http:
            game = AsyncGameClient(base_url, player.token, http=http, patience=Patience(first_pause_s=0.01))
            round_ = await game.bet(STAKE, OVER_HALF)
            assert lossy.lost == 2
            assert [found async for found in game.history()] == [round_]
            assert (await game.balance()).amount == 1_000 - STAKE + round_.win.amount

    async def test_raises_what_the_casino_refuses_with_what_it_adds(
        self, base_url: str, own: Operator
    ) -> None:
        player = await own.open_session(balance=STAKE - 1)
        async with AsyncGameClient(base_url, player.token) as game:
            with pytest.raises(InsufficientFunds) as caught:
                await game.bet(STAKE, OVER_HALF)
            assert caught.value.members["balance"] == {"amount": STAKE - 1, "currency": "EUR"}
            with pytest.raises(NotFound):
                await game.round("never")
            told = {"event_id": "e-1", "type": "sad", "at": "2026-11-22T16:56:52Z", "data": {}}
            await game.report([told, told])
            await player.deposit(1_000)
            round_id = uuid4().hex
            first = await game.bet(STAKE, OVER_HALF, round_id=round_id)
            assert first == await game.bet(STAKE, OVER_HALF, round_id=round_id)
            with pytest.raises(IdReused):
                await game.bet(2 * STAKE, OVER_HALF, round_id=round_id)
        async with AsyncGameClient(base_url, "no-token") as nobody:
            with pytest.raises(Unauthenticated):
                await nobody.balance()

    async def test_plays_rounds_with_choices_to_their_ends(self, base_url: str, own: Operator) -> None:
        player = await own.open_session(game_id="lucky-fruits", balance=1_000_000)
        async with AsyncGameClient(base_url, player.token) as game:
            decided: list[Round] = []

            def cautious(round_: Round) -> Decision:
                decided.append(round_)
                first = round_.choices[0]
                return Decision(first.action, {name: values[0] for name, values in first.params.items()})

            for _ in range(100):
                round_ = await game.bet((await game.session()).game.stakes[0])
                ended = await game.finish(round_, cautious)
                assert ended.state is RoundState.SETTLED
                if decided:
                    break
            assert decided, "no round offered a choice"
            assert [taken.by for taken in ended.actions] == ["player"] * len(decided)
            with pytest.raises(RoundClosed):
                await game.act(ended.round_id, "collect")

    async def test_does_the_operators_work(
        self, base_url: str, operator: AsyncOperatorClient, own: Operator
    ) -> None:
        player = await own.open_session("ben", balance=1_000)
        played = await player.played()
        assert [game.id for game in await operator.games()] == ["dice", "fruit-lines", "lucky-fruits"]
        assert [found.round_id async for found in operator.rounds(player_id="ben")] == [played["round_id"]]
        record = await operator.round(played["round_id"], player_id="ben")
        assert record.more["player_id"] == "ben"
        balance = await operator.balance("ben", "EUR")
        assert (balance.balance, balance.held) == (record.balance, Money(0, "EUR"))
        kinds = [posting.kind async for posting in operator.statement("ben", currency="EUR")]
        assert kinds[-2:] == ["stake", "deposit"]
        withdrawn = await operator.withdraw("ben", Money(10, "EUR"))
        assert withdrawn.balance.amount == balance.balance.amount - 10

        async def told() -> bool:
            return await self._told_of(operator, "ben") == ["round.settled", "wallet.withdrawn"]

        await until(told)
        with pytest.raises(WrongState):
            await operator.void(played["round_id"], "too late", player_id="ben")
        with pytest.raises(WrongState):
            await operator.resolve(played["round_id"], "retry-now", "too late", player_id="ben")

    async def _told_of(self, operator: AsyncOperatorClient, player_id: str) -> list[str]:
        """The types of the player's last two events in the feed."""
        events = [event async for page in operator.feed() for event in page.items]
        assert len({event.id for event in events}) == len(events)
        return [event.type for event in events if event.data["player_id"] == player_id][-2:]

    async def test_does_the_same_without_an_event_loop(self, base_url: str, own: Operator) -> None:
        def play() -> tuple[Round, list[Round], Money]:
            with OperatorClient(base_url, own.key) as operator:
                token = operator.open_session("carl", "fruit-lines", "EUR").token
                operator.deposit("carl", Money(1_000, "EUR"))
                assert next(iter(operator.statement("carl"))).kind == "deposit"
                with GameClient(base_url, token) as game:
                    stake = game.session().game.stakes[0]
                    return game.bet(stake), [*game.history()], game.balance()

        round_, history, balance = await asyncio.to_thread(play)
        assert history == [round_]
        assert (round_.state, round_.balance) == (RoundState.SETTLED, balance)


class TestTypeScript:
    async def test_plays_in_node_without_a_build(self, base_url: str, own: Operator) -> None:
        await run_node("rest.test.ts", base_url, own)

    def test_is_generated_from_the_description_as_it_is(self) -> None:
        generate = runpy.run_path(str(TYPESCRIPT / "generate.py"))["generate"]
        made = (TYPESCRIPT / "src" / "api.ts").read_text(encoding="utf-8")
        assert made == generate(described()), "run clients/typescript/generate.py"

    async def test_becomes_javascript_for_browsers(self, tmp_path: Path) -> None:
        await node(str(TYPESCRIPT / "build.mjs"), str(tmp_path))
        assert all(name.endswith(".js") for name in os.listdir(tmp_path))
        check = f"const made = await import({json.dumps((tmp_path / 'index.js').as_uri())});"
        report = await node("--input-type=module", "-e", check + "console.log(Object.keys(made).join())")
        assert {"GameClient", "GameSocket", "OperatorClient", "Problem"} <= set(report.strip().split(","))
