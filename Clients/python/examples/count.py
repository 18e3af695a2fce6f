"""A worker that counts, and goes on where it stopped.

    lifeline coordinator &
    python examples/count.py &
    python examples/submit.py

Kill it and start it again, or stop the coordinator for a while: it goes on from its last checkpoint.
"""

import asyncio
import logging
import sys

from lifeline_client import Task, TaskContext, Worker

logging.basicConfig(level=logging.INFO)
worker = Worker(sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8765", worker_id="counter", slots=4)


@worker.task("count")
async def count(task: Task, context: TaskContext) -> "dict[str, int]":
    goal = int(task.input.get("to", 100))
    for number in range(context.checkpoint or 0, goal):
        await asyncio.sleep(0.1)
        await context.save(number + 1)
        context.progress((number + 1) / goal)
        context.print("counted to", number + 1)
    return {"counted_to": goal}


worker.run()
