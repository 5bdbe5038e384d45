"""What a program of ours and the process of a game say to each other: frames of JSON, each behind its length.

The program asks `Check` or `Play`, and gets `Taken`, `Refused`, `Played` or `Failed`. In between the process
may ask for `More` of the round's draws and gets `Blocks`. Its first word is `Declared`, or `Failed`.
"""

import struct
from typing import Any, Final

import msgspec

from contracts.choices import Chosen, Offer
from games.protocol import Mode, Wager

LENGTH: Final = struct.Struct(">I")
# The longest frame that is read. Six bytes for each character of an outcome leave room for its offer.
FRAME_LIMIT: Final = 1_048_576
# Blocks of the round's draws that come with the question, with each further answer, and in all.
FIRST_BLOCKS: Final = 32
MORE_BLOCKS: Final = 512
ALL_BLOCKS: Final = 16_384


class Message(msgspec.Struct, tag=True):
    """One frame."""


class Declared(Message):
    """What the game is, as games.protocol.Game has it."""

    id: str
    version: str
    title: str
    modes: dict[str, Mode]
    stakes: tuple[int, ...]
    max_win: int
    choice_schema: dict[str, Any] | None
    rules: dict[str, Any]


class Check(Message):
    """Does the game take this wager?"""

    wager: Wager


class Play(Message):
    """The round's step after `actions`. `blocks` begin its stream of draws (games/draws.py): they decide this
    round alone, and the seed that they come from stays in our program."""

    wager: Wager
    actions: list[Chosen]
    blocks: bytes


class Blocks(Message):
    """The stream's next blocks."""

    blocks: bytes


class Taken(Message):
    """The game takes the wager."""


class Refused(Message):
    """It does not; `why` is for the client."""

    why: str


class Played(Message):
    """The step, without its state, which is of use in the process alone."""

    outcome: dict[str, Any]
    win: int
    offer: Offer | None


class Failed(Message):
    """The game broke its contract."""

    why: str


class More(Message):
    """The game draws on."""


Question = Check | Play | Blocks
Answer = Declared | Taken | Refused | Played | Failed | More

_encoder: Final = msgspec.json.Encoder()
_questions: Final = msgspec.json.Decoder(Question)
_answers: Final = msgspec.json.Decoder(Answer)


def read_question(text: bytes) -> Question:
    question: Question = _questions.decode(text)
    return question


def read_answer(text: bytes) -> Answer:
    """Raises msgspec.DecodeError and RecursionError."""
    answer: Answer = _answers.decode(text)
    return answer


def frame(message: Question | Answer) -> bytes:
    text = _encoder.encode(message)
    return LENGTH.pack(len(text)) + text
