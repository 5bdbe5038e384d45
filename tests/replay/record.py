"""Records the paths of RoundWorkflow anew: python -m tests.replay.record [path ...]

On a server that does not skip time, so the histories are as production would have them but for their
payloads, which are plain JSON on purpose: the codec sits between client and server, no workflow ever sees
what it makes; a reviewer can read plain histories; and no key has to lie in the repository.
"""

import asyncio
import json
import logging
import sys
from typing import Any

from temporalio.client import Client

from tests.replay import fingerprints
from tests.replay.paths import PATHS
from tests.support.temporal import steady_client, temporal_server
from tests.workflow.stage import Stage

# What tells of the machine that recorded, and means nothing to a replay.
PRIVATE = ("stackTrace", "workerVersion", "requestId")


# More would make a small machine slow enough to change what is recorded.
AT_ONCE = asyncio.Semaphore(3)


async def record(client: Client, name: str) -> list[str]:
    async with AT_ONCE:
        ended = await PATHS[name](Stage(client, name.replace("_", "-")))
    retold = {"workflow_task_timed_out"} & set(ended.event_types)
    assert not retold, f"{name}: a workflow task took too long, so this is not the path; record it again"
    history = without_private(json.loads(ended.history.to_json()))
    (fingerprints.HISTORIES / f"{name}.json").write_text(json.dumps(history, indent=1) + "\n")
    print(f"recorded {name}: {len(ended.history.events)} events")  # noqa: T201 - a command's output
    return fingerprints.commands(fingerprints.recorded(name))


async def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in PATHS]
    if unknown:
        sys.exit(f"no such path: {', '.join(unknown)}. There are: {', '.join(PATHS)}")
    fingerprints.HISTORIES.mkdir(exist_ok=True)
    known = fingerprints.read() if fingerprints.FINGERPRINTS.exists() else {}
    async with temporal_server() as environment:
        client = await steady_client(environment)
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(record(client, name)) for name in names or PATHS}
    known |= {name: task.result() for name, task in tasks.items()}
    fingerprints.write({name: known[name] for name in PATHS if name in known})


def without_private(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: without_private(value) for key, value in part.items() if key not in PRIVATE}
    if isinstance(part, list):
        return [without_private(item) for item in part]
    return part


if __name__ == "__main__":
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)  # the steps fail on purpose
    asyncio.run(main(sys.argv[1:]))
