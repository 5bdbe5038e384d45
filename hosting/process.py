"""One process of a game: started without anything of ours, asked one question at a time, and killed when it
does not answer in time."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from contracts.failures import one_line
from games.draws import HmacDraws
from games.registry import PluginError
from hosting.messages import (
    ALL_BLOCKS,
    FIRST_BLOCKS,
    FRAME_LIMIT,
    LENGTH,
    MORE_BLOCKS,
    Answer,
    Blocks,
    Declared,
    Failed,
    More,
    Question,
    frame,
    read_answer,
)

# What a plug-in may take to be imported, of the clock and of the processor.
START_S: Final = 30
START_PROCESSOR_S: Final = 10
END_S: Final = 5  # for a process that has closed its socket to be gone
# All that a game's process knows of ours.
KEPT_VARIABLES: Final = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TZ")
# The same bet gives the same step in each process; and no library fills the memory with threads' stacks.
FIXED_VARIABLES: Final[Mapping[str, str]] = {
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one game: seconds to an answer, by the clock and of the processor; MiB of memory, and processes."""

    answer_s: float = 1.5
    processor_s: int = 1
    memory_mib: int = 512
    processes: int = 2


class ProcessLost(Exception):
    """The process gave no answer and is of no use any more. The text says why."""


class GameProcess:
    """Whoever holds it asks one question at a time, and calls `end` at last."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        limits: Limits,
    ) -> None:
        self._process, self._reader, self._writer, self._limits = process, reader, writer, limits

    @classmethod
    async def start(cls, plugin: str, limits: Limits) -> tuple["GameProcess", Declared]:
        """Raises PluginError for a plug-in that does not keep the protocol, and ProcessLost."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = _spawn(plugin, limits, theirs)
        try:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
        except BaseException:  # a program that ends while a game starts
            process.kill()
            await asyncio.to_thread(process.wait)
            raise
        started = cls(process, reader, writer, limits)
        try:
            return started, await started._first_word(plugin)
        except BaseException:
            await started.end()
            raise

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    async def ask(self, question: Question, draws: HmacDraws | None = None) -> Answer:
        """The answer, within the limits. Raises ProcessLost."""
        try:
            async with asyncio.timeout(self._limits.answer_s):
                return await self._exchange(question, draws)
        except TimeoutError:
            raise ProcessLost(f"it gave no answer within {self._limits.answer_s} s") from None

    async def end(self) -> None:
        """Kills the process and what it has started. It holds nothing that would be lost."""
        if self.alive:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._writer.close()
        await asyncio.to_thread(self._process.wait)

    async def _first_word(self, plugin: str) -> Declared:
        try:
            async with asyncio.timeout(START_S):
                word = await self._read()
        except TimeoutError:
            raise ProcessLost(f"its module was not imported within {START_S} s") from None
        if isinstance(word, Failed):
            raise PluginError(one_line(word.why))
        if not isinstance(word, Declared):
            raise PluginError(f"game {plugin}: its first word is no declaration")
        return word

    async def _exchange(self, question: Question, draws: HmacDraws | None) -> Answer:
        left = ALL_BLOCKS - FIRST_BLOCKS
        while True:
            try:
                self._writer.write(frame(question))
                await self._writer.drain()
            except OSError:
                pass  # reading says how it ended
            answer = await self._read()
            if not isinstance(answer, More):
                return answer
            if draws is None or left <= 0:
                raise ProcessLost(f"it draws more than {8 * ALL_BLOCKS:,} words in one round")
            left -= MORE_BLOCKS
            question = Blocks(blocks=blocks_of(draws, MORE_BLOCKS))

    async def _read(self) -> Answer:
        try:
            (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
            if length > FRAME_LIMIT:
                raise ProcessLost(f"it answers with {length:,} bytes")
            return read_answer(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, OSError):
            raise ProcessLost(await self._how_it_ended()) from None
        except (msgspec.DecodeError, RecursionError):
            raise ProcessLost("its answer is none that the protocol has") from None

    async def _how_it_ended(self) -> str:
        try:
            code = await asyncio.to_thread(self._process.wait, END_S)
        except subprocess.TimeoutExpired:
            return "it hung up"
        if code == -signal.SIGXCPU:
            return f"it used more than {self._limits.processor_s} s of the processor"
        return f"its process ended with {code}"


def blocks_of(draws: HmacDraws, count: int) -> bytes:
    return b"".join(draws.next_block() for _ in range(count))


def _spawn(plugin: str, limits: Limits, theirs: socket.socket) -> subprocess.Popen[bytes]:
    """No descriptor and no variable of ours is handed down; a group of its own is killed as a whole, and no
    Ctrl-C at our terminal reaches it."""
    numbers = (os.getpid(), limits.memory_mib, limits.processor_s, START_PROCESSOR_S)
    return subprocess.Popen(
        [sys.executable, "-m", "hosting.child", plugin, *map(str, numbers)],
        stdin=theirs.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=_environment(),
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    """It imports from where this program does."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return {**kept, **FIXED_VARIABLES, "PYTHONPATH": path}
