"""The process of one game that does not come with Croupier: python -m hosting.child, started by
hosting/process.py, with a socket as its standard input.

It loads the plug-in, says what the game declares, and answers one question after another, until it is killed
or the socket is closed. It holds no key, no seed and no connection, and what the game prints goes nowhere.
"""

import ctypes
import os
import resource
import signal
import socket
import sys
import time
from typing import BinaryIO, Final

from contracts.failures import one_line
from games.checks import check_wager, failure, play_round
from games.draws import SEED_BYTES, RelayedDraws
from games.protocol import Game, WagerRefused
from games.registry import PluginError, load_plugin
from hosting.messages import (
    LENGTH,
    Answer,
    Blocks,
    Check,
    Declared,
    Failed,
    More,
    Play,
    Played,
    Question,
    Refused,
    Taken,
    frame,
    read_question,
)

# Linux's prctl: a signal comes when the parent ends, however it ends.
SET_PARENT_DEATH_SIGNAL: Final = 1
OPEN_FILES: Final = 64
MIB: Final = 1_048_576


class Channel:
    """The socket to the program that asks."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._incoming: BinaryIO = connection.makefile("rb")

    def read(self) -> Question:
        """The next question. Raises EOFError when nobody asks any more."""
        head = self._incoming.read(LENGTH.size)
        if len(head) < LENGTH.size:
            raise EOFError
        return read_question(self._incoming.read(LENGTH.unpack(head)[0]))

    def write(self, answer: Answer) -> None:
        self._connection.sendall(frame(answer))

    def more_blocks(self) -> bytes:
        self.write(More())
        blocks = self.read()
        assert isinstance(blocks, Blocks), "more draws were asked for"
        return blocks.blocks


def main(plugin: str, parent: int, memory_mib: int, processor_s: int, start_s: int) -> None:
    channel = Channel(_take_socket())
    _die_with(parent)
    _limit(memory_mib)
    _limit_processor(start_s)
    try:
        game = load_plugin(plugin)
        channel.write(_declaration(game))
    except PluginError as error:
        channel.write(Failed(why=str(error)))
        return
    while True:
        question = channel.read()
        _limit_processor(processor_s)
        channel.write(_answer(game, question, channel))


def _answer(game: Game, question: Question, channel: Channel) -> Answer:
    try:
        if isinstance(question, Check):
            check_wager(game, question.wager)
            return Taken()
        assert isinstance(question, Play), "blocks come when they are asked for"
        step = play_round(game, question.wager, _draws(question.blocks, channel), question.actions)
        return Played(outcome=step.outcome, win=step.win, offer=step.offer)
    except WagerRefused as refused:
        return Refused(why=one_line(str(refused)))
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
        return Failed(why=failure(game, error))


def _draws(blocks: bytes, channel: Channel) -> RelayedDraws:
    at = 0

    def next_block() -> bytes:
        nonlocal at, blocks
        if at == len(blocks):
            at, blocks = 0, channel.more_blocks()
        at += SEED_BYTES
        return blocks[at - SEED_BYTES : at]

    return RelayedDraws(next_block)


def _declaration(game: Game) -> Declared:
    return Declared(
        id=game.id,
        version=game.version,
        title=game.title,
        modes=dict(game.modes),
        stakes=game.stakes,
        max_win=game.max_win,
        choice_schema=game.choice_schema,
        rules=game.rules,
    )


def _take_socket() -> socket.socket:
    """The socket, out of reach of what reads from standard input or prints."""
    connection = socket.socket(fileno=os.dup(0))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    return connection


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it had ended before
        sys.exit(1)


def _limit(memory_mib: int) -> None:
    """For good: so much memory, no file, no process and no thread (which root's programs may have all the
    same)."""
    for what, most in (
        (resource.RLIMIT_AS, memory_mib * MIB),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def _limit_processor(processor_s: int) -> None:
    """From now on, until it is set again. The kernel counts whole seconds, and ends who uses more."""
    used_s = int(time.process_time()) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (used_s + processor_s, hard))


if __name__ == "__main__":
    try:
        main(sys.argv[1], *map(int, sys.argv[2:]))
    except (EOFError, OSError):  # nobody asks any more
        sys.exit(0)
