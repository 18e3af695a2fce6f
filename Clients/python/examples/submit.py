"""Submits tasks for ``count.py`` and follows them."""

import asyncio
import logging
import sys

from lifeline_client import Client

logging.basicConfig(level=logging.INFO, format="%(message)s")


async def main(coordinator: str) -> None:
    async with Client(coordinator) as client:
        ids = await client.submit([{"kind": "count", "input": {"to": 10}} for _ in range(3)], run="example")
        waiting = set(ids)
        async for event in client.watch(run="example"):
            # What happened before the watch stood, or while the connection was away, is seen by listing.
            changed = await client.list(task_ids=ids) if event.kind == "established" else [event.task]
            for task in changed:
                logging.info("%s: %s, %s", task["task_id"], task["status"], task["result"])
                if task["status"] in ("completed", "failed", "cancelled"):
                    waiting.discard(task["task_id"])
            if not waiting:
                break


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8765"))
