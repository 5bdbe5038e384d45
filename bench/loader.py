"""Hands jobs to the load generator, which runs as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict
from typing import Any, Final, Self

from bench.load import Job, Mark, Outcome
from runtime.settings import PROJECT_ROOT

LINE_LIMIT_BYTES: Final = 16 * 1024 * 1024
GRACE_S: Final = 30.0


class LoadFailed(Exception):
    """The load generator could not do its job; the text says why."""


class Loader:
    """`async with Loader() as loader: await loader.play(job)`"""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.load"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(os.environ),
            cwd=PROJECT_ROOT,
            limit=LINE_LIMIT_BYTES,
            start_new_session=True,  # a terminal's Ctrl-C is for the command, which ends this one then
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def play(self, job: Job, mark: Mark = lambda _: None) -> Outcome:
        """Play one job to its end; `mark` hears "begin" and "end" of the measured time. Raises LoadFailed."""
        assert self._process is not None, "the block of `async with` has begun"
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        await self._process.stdin.drain()
        limit_s = job.warm_up_s + job.seconds + job.drain_s + GRACE_S
        try:
            return await asyncio.wait_for(self._outcome(mark), limit_s)
        except TimeoutError:
            raise LoadFailed(f"no result within {limit_s:.0f} s") from None

    async def _outcome(self, mark: Mark) -> Outcome:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            values: dict[str, Any] = json.loads(line)
            if "error" in values:
                raise LoadFailed(str(values["error"]))
            if "mark" not in values:
                return Outcome(**values)
            mark(values["mark"])
        raise LoadFailed("the load generator ended")
