"""A worker with an ordinary function: it runs in a thread of its own; its context waits where a coroutine awaits."""

import logging
import sys
from typing import Any, Dict

from lifeline_client import BlockingTaskContext, Task, Worker

logging.basicConfig(level=logging.INFO)
worker = Worker(sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8765", worker_id="primes", slots=2)


@worker.task("primes")
def primes(task: Task, context: BlockingTaskContext) -> Dict[str, Any]:
    goal = int(task.input.get("below", 20_000))
    state: Dict[str, Any] = context.checkpoint or {"next": 2, "found": 0}
    while state["next"] < goal:
        number = state["next"]
        is_prime = all(number % divisor for divisor in range(2, int(number**0.5) + 1))
        state = {"next": number + 1, "found": state["found"] + is_prime}
        # Costs nothing until somebody asks for a checkpoint, or the worker is told to leave.
        context.offer(state)
        if number % 1000 == 0:
            context.save(state)
            context.progress(number / goal)
    return {"found": state["found"]}


worker.run()
