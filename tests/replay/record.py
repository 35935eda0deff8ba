"""Records the histories that `test_saved_histories` replays: `python -m tests.replay.record [NAME ...]`.

Without names it records what has no history yet, and leaves all others. A name that is given is recorded anew: do so
when the workflow has changed on purpose and nothing of the old kind is open anywhere; a change that open sessions must
survive is patched instead (`workflow.patched`), and then the old histories stay, and a new one shows the patch.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.stores.migrate import upgrade
from tests.replay.beside import BESIDE, NO_INDEX
from tests.replay.races import RACES
from tests.replay.saved import IDENTITY, names, remove, save
from tests.replay.sessions import REFUSED, SESSIONS, refused, start
from tests.support.stack import data_dir, stack_settings
from workers.settings import Settings
from workers.stack.stack import Stack
from workers.worker import running_worker

KNOWN = {*SESSIONS, *REFUSED, *RACES, *BESIDE}


async def main(wanted: Collection[str]) -> None:
    """Record those, on a stack of their own, which has a Weaviate server if any of them needs one."""
    for name in wanted:
        remove(name)
    with data_dir() as folder:
        settings = stack_settings(folder)
        if not BESIDE.keys() & wanted:
            settings = settings.model_copy(update={"weaviate_url": NO_INDEX})
        async with Stack(settings) as stack:
            await asyncio.to_thread(upgrade, stack.postgres.url())
            client = await Client.connect(
                stack.addresses.temporal, data_converter=pydantic_data_converter, identity=IDENTITY
            )
            await _sessions(client, stack.settings.model_copy(update={"weaviate_url": NO_INDEX}), wanted)
            for name, record in {**RACES, **BESIDE}.items():
                if name in wanted:
                    await record(client, stack.settings, name)


async def _sessions(client: Client, settings: Settings, wanted: Collection[str]) -> None:
    async with running_worker(settings, client):
        for name, (scene, config) in SESSIONS.items():
            if name in wanted:
                await scene(await start(client, name, queue=settings.task_queue, config=config))
                await save(client, name)
        for name in REFUSED:
            if name in wanted:
                await refused(client, settings.task_queue, name)


if __name__ == "__main__":
    asked = set(sys.argv[1:])
    if unknown := asked - KNOWN:
        sys.exit(f"Nothing is known of {', '.join(sorted(unknown))}. Known: {', '.join(sorted(KNOWN))}")
    asyncio.run(main(asked or KNOWN - names()))
