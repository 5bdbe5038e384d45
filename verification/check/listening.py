"""What a downstream consumer of its own hears on the broker while a check plays."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from aio_pika import ExchangeType
from aio_pika.abc import AbstractIncomingMessage

from events.broker import CONNECT_SECONDS, close_quietly, connect, link_errors_as_one, open_channel
from events.catalogue import ROUND_SETTLED, ROUND_VOID, EventInvalid, RoundEvent
from events.odd_properties import readable
from events.publisher import KEY_ID_HEADER, SIGNATURE_HEADER
from events.topology import EVENTS_EXCHANGE
from security.keyring import UnknownKey
from security.signatures import SignatureInvalid, SignatureVerifier
from verification.findings import Tally


class HeardEvent(NamedTuple):
    """An event in short. Amounts in minor units of `currency`."""

    type: str
    player_id: str
    round_id: str
    game_id: str
    game_version: str
    mode: str
    currency: str
    stake: int
    win: int
    balance: int
    sequence: int


@dataclass(slots=True)
class EventLog:
    """The events of one run's players, by event id. An event heard again adds to `redelivered`; one that
    arrives after a later one of its player, to `out_of_order`."""

    player_prefix: str
    verifier: SignatureVerifier
    events: dict[str, HeardEvent] = field(default_factory=dict)
    redelivered: int = 0
    out_of_order: int = 0
    lost: bool = False  # the link to the broker broke, so there may be more events than were heard
    latest: dict[str, int] = field(default_factory=dict)
    unsound: Tally = field(
        default_factory=lambda: Tally(
            "I4",
            "events-sound",
            "each event follows its schema, is signed, and says the same when it is repeated",
        )
    )

    def tallies(self) -> tuple[Tally, ...]:
        return (self.unsound,)

    def hear(self, message: AbstractIncomingMessage) -> None:
        try:
            event = RoundEvent.parse(message.body)
        except EventInvalid as error:
            self.unsound.add(f"message {readable(message.message_id)}: {error}")
            return
        if not event.player_id.startswith(self.player_prefix):
            return
        self._check_signature(message)
        if message.message_id != event.event_id:
            self.unsound.add(f"event {event.event_id}: its message id is {readable(message.message_id)}")
        self._note(event)

    def _check_signature(self, message: AbstractIncomingMessage) -> None:
        key_id, value = (str(message.headers.get(name, "")) for name in (KEY_ID_HEADER, SIGNATURE_HEADER))
        try:
            self.verifier.verify(message.body, key_id=key_id, value=value)
        except (SignatureInvalid, UnknownKey) as error:
            self.unsound.add(f"message {readable(message.message_id)}: {error}")

    def _note(self, event: RoundEvent) -> None:
        short = _short(event)
        known = self.events.setdefault(event.event_id, short)
        if known is not short:
            self.redelivered += 1
            if known != short:
                self.unsound.add(f"event {event.event_id}: the second one says something else")
            return
        if event.sequence < self.latest.get(event.player_id, 0):
            self.out_of_order += 1
        else:
            self.latest[event.player_id] = event.sequence


@asynccontextmanager
async def listening(
    amqp_url: str, operator_id: str, player_prefix: str, verifier: SignatureVerifier
) -> AsyncIterator[EventLog]:
    """Hears the operator's closed rounds from now on, on a queue that goes away with the connection.

    The queue is exclusive: newer brokers refuse a queue that is neither that nor durable. Raises LinkLost.
    """
    log = EventLog(player_prefix, verifier)

    async def hear(message: AbstractIncomingMessage) -> None:
        log.hear(message)

    connection = await connect(amqp_url, name="croupier check")
    try:
        channel = await open_channel(connection)
        channel.close_callbacks.add(lambda *_: setattr(log, "lost", True))
        with link_errors_as_one():
            await channel.declare_exchange(
                EVENTS_EXCHANGE, ExchangeType.TOPIC, durable=True, timeout=CONNECT_SECONDS
            )
            queue = await channel.declare_queue(exclusive=True, timeout=CONNECT_SECONDS)
            for type_ in (ROUND_SETTLED, ROUND_VOID):
                await queue.bind(EVENTS_EXCHANGE, f"{operator_id}.*.{type_}", timeout=CONNECT_SECONDS)
            await queue.consume(hear, no_ack=True, timeout=CONNECT_SECONDS)
        yield log
    finally:
        await close_quietly(connection)


def _short(event: RoundEvent) -> HeardEvent:
    return HeardEvent(
        type=event.type,
        player_id=event.player_id,
        round_id=event.round_id,
        game_id=event.game_id,
        game_version=event.game_version,
        mode=event.mode,
        currency=event.stake.currency,
        stake=event.stake.amount,
        win=event.win.amount,
        balance=event.balance.amount,
        sequence=event.sequence,
    )
