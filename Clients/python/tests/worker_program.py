"""A worker process for the tests: worker_program.py URL ID OUTBOX [JOURNAL] [SLOTS] [DRAIN_TIMEOUT]."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

from lifeline_client import Task, TaskContext, Worker

url, name, outbox = sys.argv[1:4]
journal = sys.argv[4] if len(sys.argv) > 4 else os.devnull
slots = int(sys.argv[5]) if len(sys.argv) > 5 else 2
drain_timeout = float(sys.argv[6]) if len(sys.argv) > 6 else 0.1

logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(message)s")
logging.getLogger("websockets").setLevel(logging.INFO)
logging.getLogger("asyncio").setLevel(logging.INFO)

worker = Worker(
    url,
    worker_id=name,
    outbox=outbox,
    slots=slots,
    reconnect_delay=0.1,
    max_reconnect_delay=0.5,
    heartbeat_interval=0.5,
    heartbeat_timeout=float(os.environ.get("HEARTBEAT_TIMEOUT", 10)),
    drain_timeout=drain_timeout,
)


def note(*words: object) -> None:
    """One line, whole, whoever else writes."""
    with open(journal, "a", encoding="utf-8") as file:
        file.write(" ".join(map(str, words)) + "\n")


@worker.task("demo_task")
async def demo(task: Task, context: TaskContext) -> Any:
    """What the Swift worker does for this kind, with the same checkpoints."""
    iterations = int(task.input.get("iterations", 10))
    done = int((context.checkpoint or {}).get("iteration", 0))
    note("start", task.id, task.attempt, done)
    while done < iterations:
        await asyncio.sleep(float(task.input.get("sleep", 1)))
        done += 1
        await context.save({"iteration": done})
        context.progress(done / iterations)
    note("end", task.id, task.attempt)
    return {"iterations": done}


@worker.task("instant")
async def instant(task: Task, context: TaskContext) -> Any:
    note("ran", task.id, task.attempt)
    return {"id": task.id}


@worker.task("offering")
def offering(task: Task, context: Any) -> Any:
    """Never saves by itself; a checkpoint is only taken when somebody asks for one."""
    count = context.checkpoint or 0
    note("start", task.id, task.attempt, count)
    while count < 1000:
        count += 1
        context.offer(count)
        if os.path.exists(outbox + ".finish"):
            return {"from": context.checkpoint, "to": count}
        context.sleep(0.02)
    return None


worker.run()
