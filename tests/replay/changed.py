"""RoundWorkflow as somebody might change it without thinking of the rounds that are open."""

from dataclasses import replace

from temporalio import workflow

from contracts import steps
from contracts.failures import ROUND_CANCELLED
from contracts.rounds import Bet, PlayResult, ReleaseRequest, Resolution, RoundClosed, RoundState, Terminal
from contracts.steps import ROUND_WORKFLOW
from workflows import policies
from workflows.round import RoundWorkflow
from workflows.steps import take, take_locally


@workflow.defn(name=ROUND_WORKFLOW)
class SkipsTheFastPath(RoundWorkflow):
    @workflow.run
    async def run(self, bet: Bet) -> RoundClosed:
        return await self._durable_path(bet)


@workflow.defn(name=ROUND_WORKFLOW)
class KnowsNoVersions(RoundWorkflow):
    """As the releases before it: what a bet says of its version, they leave out."""

    @workflow.run
    async def run(self, bet: Bet) -> RoundClosed:
        return await super().run(replace(bet, version=1))


@workflow.defn(name=ROUND_WORKFLOW)
class TriesTheFastPathTwice(RoundWorkflow):
    @workflow.run
    async def run(self, bet: Bet) -> RoundClosed:
        return await super().run(bet)

    async def _durable_path(self, bet: Bet) -> RoundClosed:
        return await self._emit_if_unconfirmed(await take_locally(steps.PLAY, bet))


@workflow.defn(name=ROUND_WORKFLOW)
class ReleasesWhatItShouldSettle(RoundWorkflow):
    @workflow.run
    async def run(self, bet: Bet) -> RoundClosed:
        return await super().run(bet)

    async def _settle_and_emit(self, bet: Bet, resolution: Resolution | None) -> RoundClosed:
        request = ReleaseRequest(bet=bet, failure_code=ROUND_CANCELLED, failure_detail="")
        return await self._emit(bet, await take(steps.RELEASE, request, policies.RELEASE))


@workflow.defn(name=ROUND_WORKFLOW)
class NeverEmits(RoundWorkflow):
    @workflow.run
    async def run(self, bet: Bet) -> RoundClosed:
        return await super().run(bet)

    async def _emit_if_unconfirmed(self, played: PlayResult) -> RoundClosed:
        return RoundClosed(state=played.state, request_id=played.request_id)

    async def _emit(self, bet: Bet, terminal: Terminal) -> RoundClosed:
        return RoundClosed(state=terminal.state, request_id=bet.request_id)


@workflow.defn(name=ROUND_WORKFLOW)
class NeverReleases(RoundWorkflow):
    @workflow.run
    async def run(self, bet: Bet) -> RoundClosed:
        return await super().run(bet)

    async def _compensate(self, bet: Bet, failure_code: str, failure: BaseException) -> RoundClosed:
        return RoundClosed(state=RoundState.VOID, failure_code=failure_code, request_id=bet.request_id)
