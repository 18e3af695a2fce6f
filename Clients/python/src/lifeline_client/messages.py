"""Messages about attempts, and their names in the outbox file."""

from __future__ import annotations

from typing import Optional, Tuple

from .effects import AttemptKey, Ending
from .errors import UnsuitableValueError
from .protocol import (
    MAX_ATTEMPT,
    MAX_OUTPUT_BYTES,
    MAX_REASON_BYTES,
    MAX_RESULT_BYTES,
    JsonObject,
    Message,
    cut_text,
    encode_carried,
    integer_field,
    put_bytes,
    text_field,
)


def parcel_key(key: AttemptKey, checkpoint: Optional[int] = None) -> str:
    """The name of a result or a checkpoint in the outbox file: ``TASK/ATTEMPT/result`` or ``TASK/ATTEMPT/NUMBER``."""
    return f"{key}/{'result' if checkpoint is None else checkpoint}"


def read_parcel_key(text: str) -> Optional[Tuple[AttemptKey, bool]]:
    """The attempt that a name is about, and whether it is its result; ``None`` when it is no such name."""
    parts = text.rsplit("/", 2)
    if len(parts) != 3 or not parts[0] or not parts[1].isdigit():
        return None
    if parts[2] != "result" and not parts[2].isdigit():
        return None
    return AttemptKey(parts[0], int(parts[1])), parts[2] == "result"


def about(kind: str, key: AttemptKey, fields: JsonObject) -> Message:
    members: JsonObject = {"task_id": key.task_id, "attempt": key.attempt}
    members.update(fields)
    return Message(kind, members)


def read_key(fields: JsonObject) -> AttemptKey:
    return AttemptKey(text_field(fields, "task_id"), integer_field(fields, "attempt", 1, MAX_ATTEMPT))


def bounded(ending: Ending) -> Ending:
    """This ending cut to what one message can carry: one that is too long would be sent and refused for ever."""
    outcome, reason, result = ending.outcome, ending.reason, ending.result
    dropped = ending.dropped_bytes
    if result is not None:
        try:
            encode_carried(result, "result", MAX_RESULT_BYTES)
        except UnsuitableValueError as error:
            result = None
            if outcome == "completed":
                outcome = "failed"
            reason = str(error)
    stdout, stderr = ending.stdout[:MAX_OUTPUT_BYTES], ending.stderr[:MAX_OUTPUT_BYTES]
    dropped += len(ending.stdout) - len(stdout) + len(ending.stderr) - len(stderr)
    if reason is not None:
        reason = cut_text(reason, MAX_REASON_BYTES)
    return Ending(outcome, reason, result, stdout, stderr, dropped)


def ending_fields(ending: Ending) -> JsonObject:
    fields: JsonObject = {"status": ending.outcome}
    if ending.reason is not None:
        fields["reason"] = ending.reason
    if ending.result is not None:
        fields["result"] = ending.result
    if ending.stdout or ending.stderr or ending.dropped_bytes:
        put_bytes(fields, "stdout", ending.stdout)
        put_bytes(fields, "stderr", ending.stderr)
        if ending.dropped_bytes:
            fields["dropped_bytes"] = ending.dropped_bytes
    return fields
