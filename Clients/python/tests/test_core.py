"""The worker's core, session and pacing, by themselves: no socket, no clock, no disk."""

from __future__ import annotations

import logging
import math
import random
import unittest
from typing import Any, Dict, List, Optional, Tuple, Type, TypeVar

from lifeline_client.configuration import WorkerConfiguration
from lifeline_client.core import WorkerCore
from lifeline_client.effects import (
    Assignment,
    AttemptKey,
    Close,
    Connect,
    ConnectionState,
    Effect,
    Ending,
    Forget,
    Log,
    PauseAttempt,
    Persist,
    ReadTelemetry,
    RequestCheckpoint,
    ResumeAttempt,
    StartAttempt,
    StateChanged,
    StopAttempt,
    Stopped,
    StopReason,
)
from lifeline_client.errors import UnsuitableValueError
from lifeline_client.messages import read_parcel_key
from lifeline_client.output import BoundedOutput
from lifeline_client.pacing import Backoff, FailureDetector, RoundTrips
from lifeline_client.protocol import Message, MessageCodes, hkdf, open_envelope, seal
from lifeline_client.session import Arrival, Outbox, Session

_Effect = TypeVar("_Effect")
TASK = {"kind": "x", "name": "x", "input": {}}


class Peer:
    """A coordinator's side of the wire, and the shell around a core."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        configuration = WorkerConfiguration("w", "boot", 2, ("x",), telemetry_interval=0, **options)
        self.core = WorkerCore(configuration, 0.0, Backoff(0.1, 1.0, generator=random.Random(1)))
        self.sequence = 0
        self.sent: List[Message] = []
        self.effects: List[Effect] = []
        #: What the worker's disk has.
        self.disk: Dict[str, bytes] = {}
        #: Whether what is to be persisted is at once.
        self.persists = True
        self.codes: Optional[MessageCodes] = None

    def settle(self) -> None:
        """Performs what the core wants and takes what it sends, until nothing more happens."""
        while True:
            effects = self.core.take_effects()
            self.effects += effects
            for effect in effects:
                if isinstance(effect, Persist):
                    self.disk[effect.key] = effect.body
                    if self.persists:
                        self.core.persisted(self.now, effect.key)
                elif isinstance(effect, Forget):
                    self.disk.pop(effect.key, None)
            data = self.core.next_message(self.now)
            if data is not None:
                self.sent.append(open_envelope(data))
            elif not effects:
                return

    def connect(self, session: str = "s1", resumed: bool = False, handled: int = 0, **more: Any) -> None:
        if self.core.state is ConnectionState.DISCONNECTED and self.core.counters.attempts == 0:
            self.core.start(self.now)
        self.core.connected(self.now)
        self.settle()
        if not resumed:
            self.sequence = 0
        fields = {"session_id": session, "resumed": resumed, "handled": handled, "lease_s": 30.0, **more}
        self.say("registration_ack", fields)

    def say(self, kind: str, fields: Optional[Dict[str, Any]] = None, ack: int = 0) -> None:
        self.core.received(self.now, seal(Message(kind, fields or {}).body, None, ack))
        self.settle()

    def say_reliably(self, kind: str, fields: Optional[Dict[str, Any]] = None, ack: int = 0) -> None:
        self.sequence += 1
        self.core.received(self.now, seal(Message(kind, fields or {}).body, self.sequence, ack))
        self.settle()

    def assign(self, task_id: str, attempt: int = 1) -> AttemptKey:
        self.say_reliably("task_assignment", {"task_id": task_id, "attempt": attempt, "task": TASK})
        key = AttemptKey(task_id, attempt)
        if any(effect.assignment.key == key for effect in self.all(StartAttempt)):
            self.core.attempt_started(self.now, key)
            self.settle()
        return key

    def lose(self) -> None:
        self.core.disconnected(self.now, "cut")
        self.settle()

    def wait(self, seconds: float) -> None:
        """Lets time pass, with the ticks that are due."""
        end, connects = self.now + seconds, len(self.all(Connect))
        while self.core.next_deadline <= end:
            self.now = max(self.now, self.core.next_deadline)
            self.core.tick(self.now)
            self.settle()
            if len(self.all(Connect)) > connects:
                break
        self.now = max(self.now, end)

    def all(self, kind: Type[_Effect]) -> List[_Effect]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def kinds(self) -> List[str]:
        return [message.kind for message in self.sent]

    def numbered(self) -> List[Message]:
        return [message for message in self.sent if message.sequence is not None]


class SessionTests(unittest.TestCase):
    def test_numbers_have_no_gaps_and_acknowledgements_trim(self) -> None:
        outbox = Outbox(max_messages=3)
        for body in (b"a", b"b", b"c"):
            self.assertTrue(outbox.has_room)
            outbox.append(body)
        self.assertFalse(outbox.has_room)
        self.assertIsNone(outbox.acknowledge(4))
        self.assertEqual([entry.sequence for entry in outbox.acknowledge(2) or []], [1, 2])
        self.assertEqual([entry.sequence for entry in outbox], [3])
        self.assertEqual(outbox.bytes, 1)
        self.assertEqual(outbox.acknowledge(1), [])
        entry = outbox.at(0)
        assert entry is not None
        self.assertEqual(entry.sequence, 3)
        self.assertIsNone(outbox.at(4))

    def test_an_empty_outbox_takes_a_message_however_long_it_is(self) -> None:
        outbox = Outbox(max_bytes=10)
        self.assertTrue(outbox.has_room)
        outbox.append(b"x" * 1000)
        self.assertFalse(outbox.has_room)

    def test_what_arrives_is_new_known_or_out_of_order(self) -> None:
        session = Session("s")
        self.assertIs(session.arrive(1), Arrival.NEW)
        self.assertIs(session.arrive(1), Arrival.DUPLICATE)
        self.assertIs(session.arrive(3), Arrival.GAP)
        self.assertTrue(session.owes_acknowledgement)
        self.assertIn(b'"ack":1', session.seal(b'{"type":"x"}', None))
        self.assertFalse(session.owes_acknowledgement)


class PacingTests(unittest.TestCase):
    def test_delays_are_spread_over_a_growing_bounded_interval(self) -> None:
        backoff = Backoff(1.0, 8.0, generator=random.Random(3))
        for bound in (1, 2, 4, 8, 8, 8):
            for _ in range(200):
                backoff.failures = [1, 2, 4, 8].index(bound)
                delay = backoff.next_delay()
                assert delay is not None
                self.assertTrue(0 <= delay <= bound)
        backoff.reset()
        backoff.server_asked(1000)
        first, second = backoff.next_delay(), backoff.next_delay()
        assert first is not None and second is not None
        self.assertTrue(300 <= first <= 301)
        self.assertLessEqual(second, 2)
        self.assertEqual(Backoff(1, 1, max_attempts=1, generator=random.Random()).failures, 0)

    def test_only_a_useful_session_makes_the_delays_start_over(self) -> None:
        backoff = Backoff(1.0, 8.0, useful_session=5, max_attempts=2)
        self.assertIsNotNone(backoff.next_delay())
        backoff.session_lasted(4.9)
        self.assertIsNotNone(backoff.next_delay())
        self.assertIsNone(backoff.next_delay())
        backoff.session_lasted(5)
        self.assertIsNotNone(backoff.next_delay())

    def test_silence_is_suspect_between_the_bounds_and_never_outside(self) -> None:
        detector = FailureDetector(2.0, 10.0, 1.0, now=0.0)
        self.assertTrue(2.0 <= detector.suspect_at <= 10.0)
        for second in range(1, 200):
            detector.heard(float(second))
        self.assertEqual(detector.suspect_at, 199 + 2.0)
        detector.heard(199 + 8.0)
        self.assertTrue(detector.suspect_at > 207 + 2.0)
        for step in range(200):
            detector.heard(207 + 9.0 * step)
        self.assertLessEqual(detector.suspect_at, 207 + 9.0 * 199 + 10.0)

    def test_round_trips_are_smoothed_as_rfc_6298_says(self) -> None:
        trips = RoundTrips()
        trips.measured(1.0)
        self.assertEqual((trips.smoothed, trips.variation), (1.0, 0.5))
        trips.measured(2.0)
        self.assertEqual((trips.smoothed, trips.variation), (1.125, 0.625))


class OutputTests(unittest.TestCase):
    def test_beginning_and_end_are_kept_and_characters_stay_whole(self) -> None:
        output = BoundedOutput(1000)
        output.append("é€😀".encode() * 10)
        self.assertEqual(output.kept(), ("é€😀".encode() * 10, 0))
        for _ in range(500):
            output.append("é€😀".encode())
        kept, dropped = output.kept()
        self.assertLessEqual(len(kept), 1000)
        text = kept.decode("utf-8")
        self.assertIn(f"[... {dropped} bytes left out ...]", text)
        self.assertTrue(text.startswith("é€😀é") and text.endswith("é€😀"))
        note = len(f"\n[... {dropped} bytes left out ...]\n")
        self.assertEqual(len(kept) - note + dropped, output.total)


class CoreTests(unittest.TestCase):
    def test_registration_says_who_and_what(self) -> None:
        peer = Peer(labels={"gpu": "1"})
        peer.connect()
        self.assertEqual(peer.kinds()[:3], ["registration", "heartbeat", "state_sync"])
        fields = peer.sent[0].fields
        self.assertEqual(fields["capabilities"], {"slots": 2, "kinds": ["x"], "labels": {"gpu": "1"}})
        self.assertEqual((fields["worker_id"], fields["boot_id"]), ("w", "boot"))
        self.assertNotIn("session_id", fields)
        self.assertEqual(peer.sent[2].fields, {"tasks": [], "final": True})
        self.assertEqual(peer.core.state, ConnectionState.CONNECTED)

    def test_a_result_is_on_disk_before_it_is_sent_and_until_it_is_acknowledged(self) -> None:
        peer = Peer()
        peer.connect()
        key = peer.assign("t")
        peer.persists = False
        peer.core.attempt_ended(peer.now, key, Ending("completed", result=1))
        peer.settle()
        self.assertNotIn("task_result", peer.kinds())
        self.assertIn("t/1/result", peer.disk)
        peer.core.persisted(peer.now, "t/1/result")
        peer.settle()
        result = peer.sent[-1]
        self.assertEqual((result.kind, result.fields["result"], result.sequence), ("task_result", 1, 3))
        self.assertIn("t/1/result", peer.disk)
        peer.say("ack", ack=3)
        self.assertEqual((peer.disk, peer.core.active_attempts), ({}, []))

    def test_what_was_not_acknowledged_is_sent_again_in_order_with_its_numbers(self) -> None:
        peer = Peer()
        peer.connect()
        keys = [peer.assign(f"t{index}") for index in range(2)]
        for key in keys:
            peer.core.attempt_ended(peer.now, key, Ending("completed"))
            peer.settle()
        before = peer.numbered()
        self.assertEqual([message.sequence for message in before], [1, 2, 3, 4, 5])
        peer.lose()
        peer.wait(2)
        peer.sent.clear()
        peer.connect(resumed=True, handled=2)
        self.assertEqual(peer.sent[0].fields["session_id"], "s1")
        self.assertEqual(peer.sent[0].fields["handled"], 2)
        again = peer.numbered()
        self.assertEqual([(one.sequence, one.kind) for one in again], [(one.sequence, one.kind) for one in before[2:]])
        self.assertEqual(peer.core.counters.replayed, 3)

    def test_a_new_session_begins_with_what_is_held_and_then_what_was_not_delivered(self) -> None:
        peer = Peer()
        peer.connect()
        running, ended = peer.assign("running"), peer.assign("ended")
        peer.core.attempt_ended(peer.now, ended, Ending("failed", "no"))
        peer.settle()
        peer.lose()
        peer.wait(2)
        peer.sent.clear()
        peer.connect("s2")
        numbered = peer.numbered()
        self.assertEqual(
            [message.kind for message in numbered], ["state_sync", "task_state", "task_state", "task_result"]
        )
        self.assertEqual([message.sequence for message in numbered], [1, 2, 3, 4])
        held = {task["task_id"]: task["status"] for task in numbered[0].fields["tasks"]}
        self.assertEqual(held, {"running": "running", "ended": "finished"})
        verdicts = [{"task_id": "running", "attempt": 1, "verdict": "cancel"},
                    {"task_id": "ended", "attempt": 1, "verdict": "keep"}]  # fmt: skip
        peer.say_reliably("state_sync_ack", {"verdicts": verdicts, "final": True})
        self.assertEqual(peer.all(StopAttempt), [StopAttempt(running, StopReason.SUPERSEDED, False)])

    def test_what_is_held_is_said_in_batches_of_the_size_that_the_coordinator_wants(self) -> None:
        peer = Peer()
        peer.core.configuration.slots = 5
        peer.connect()
        for index in range(5):
            peer.assign(f"t{index}")
        peer.lose()
        peer.wait(2)
        peer.sent.clear()
        peer.connect("s2", state_sync_batch=2)
        syncs = [message.fields for message in peer.sent if message.kind == "state_sync"]
        self.assertEqual([len(sync["tasks"]) for sync in syncs], [2, 2, 1])
        self.assertEqual([sync["final"] for sync in syncs], [False, False, True])

    def test_an_old_word_about_what_was_held_is_not_said_in_a_new_session(self) -> None:
        peer = Peer()
        peer.connect()
        peer.lose()
        peer.wait(2)
        peer.sent.clear()
        peer.connect("s2")
        self.assertEqual(peer.kinds().count("state_sync"), 1)

    def test_what_an_earlier_run_left_is_delivered_checkpoints_before_the_sync(self) -> None:
        peer = Peer()
        checkpoint = Message("checkpoint", {"task_id": "a", "attempt": 1, "number": 4, "data": 1}).body
        result = Message("task_result", {"task_id": "b", "attempt": 2, "status": "completed"}).body
        peer.core.restored(0, "a/1/3", checkpoint)
        peer.core.restored(0, "a/1/4", checkpoint)
        peer.core.restored(0, "b/2/result", result)
        peer.core.restored(0, "nonsense", result)
        peer.core.restored(0, "c/1/result", b"\xff")
        peer.connect()
        self.assertEqual([effect.key for effect in peer.all(Forget)], ["a/1/3", "nonsense", "c/1/result"])
        self.assertEqual([message.kind for message in peer.numbered()], ["checkpoint", "state_sync", "task_result"])
        self.assertEqual(peer.numbered()[1].fields["tasks"], [{"task_id": "b", "attempt": 2, "status": "finished"}])

    def test_a_message_that_came_before_is_dropped_and_acknowledged(self) -> None:
        peer = Peer()
        peer.connect()
        peer.assign("t")
        peer.sequence -= 1
        peer.sent.clear()
        peer.assign("t")
        self.assertEqual(len(peer.all(StartAttempt)), 1)
        self.assertEqual([(message.kind, message.acknowledgement) for message in peer.sent][:1], [("ack", 1)])
        self.assertEqual(peer.core.counters.duplicates, 1)
        peer.say_reliably("pause_task", {"task_id": "t", "attempt": 1})
        peer.sequence -= 1
        peer.say_reliably("pause_task", {"task_id": "t", "attempt": 1})
        self.assertEqual(len(peer.all(PauseAttempt)), 1)

    def test_changed_bytes_gaps_and_wrong_acknowledgements_end_the_connection(self) -> None:
        good = seal(Message("telemetry_request").body, 1, 0)
        for data in (
            good[:-5] + b"0" + good[-4:],
            seal(Message("cancel_task").body, 5, 0),
            seal(Message("ack").body, None, 99),
            b"",
        ):
            peer = Peer()
            peer.connect()
            peer.core.received(peer.now, data)
            peer.settle()
            [close] = peer.all(Close)
            self.assertEqual(close.code, 4003)
            self.assertEqual(peer.core.state, ConnectionState.DISCONNECTED)

    def test_numbered_messages_before_the_registrations_answer_end_the_connection(self) -> None:
        peer = Peer()
        peer.core.start(0)
        peer.core.connected(0)
        peer.say_reliably("task_assignment", {"task_id": "t", "attempt": 1, "task": TASK})
        self.assertEqual(len(peer.all(Close)), 1)

    def test_messages_carry_codes_where_both_ends_have_a_key(self) -> None:
        secret = hkdf(b"secret", b"", "test")
        peer = Peer()
        peer.core.start(0)
        peer.core.connected(0, secret)
        theirs = MessageCodes(secret, is_worker=False)
        data = peer.core.next_message(0)
        assert data is not None
        self.assertEqual(open_envelope(data, theirs).kind, "registration")
        answer = Message("registration_ack", {"session_id": "s", "resumed": False}).body
        peer.core.received(0, seal(answer, None, 0, theirs))
        self.assertEqual(peer.core.state, ConnectionState.CONNECTED)
        data = peer.core.next_message(0)
        assert data is not None
        self.assertEqual(open_envelope(data, theirs).kind, "heartbeat")
        # One without a code is nobody's.
        peer.core.received(0, seal(Message("ack").body, None, 0))
        self.assertEqual(peer.core.state, ConnectionState.DISCONNECTED)

    def test_producers_are_held_back_and_the_outbox_stays_within_its_bound(self) -> None:
        peer = Peer(outbox_messages=3, max_waiting=5)
        peer.core.configuration.slots = 20
        peer.connect()
        keys = [peer.assign(f"t{index}") for index in range(8)]
        self.assertEqual(peer.core.outbox_count, 3)
        self.assertFalse(peer.core.has_room)
        self.assertEqual(peer.core.waiting_count, 6)
        peer.core.attempt_progressed(peer.now, keys[0], 0.5)
        peer.settle()
        self.assertNotIn({"progress": 0.5}, [message.fields.get("state") for message in peer.sent])
        peer.say("ack", ack=3)
        peer.say("ack", ack=6)
        self.assertTrue(peer.core.has_room)
        peer.say("ack", ack=9)
        self.assertEqual(peer.core.outbox_count, 0)
        self.assertEqual([message.sequence for message in peer.numbered()], list(range(1, 10)))

    def test_only_the_newest_progress_and_checkpoint_wait(self) -> None:
        peer = Peer(outbox_messages=2)
        peer.connect()
        key = peer.assign("t")
        for number in range(5):
            peer.core.attempt_progressed(peer.now, key, number / 10)
            peer.core.attempt_checkpointed(peer.now, key, number)
            peer.settle()
        self.assertEqual(sorted(peer.disk), ["t/1/5"])
        peer.sent.clear()
        peer.say("ack", ack=2)
        self.assertEqual([message.fields["data"] for message in peer.numbered()], [4])

    def test_what_is_plain_is_bounded_and_dropped_with_the_connection(self) -> None:
        peer = Peer(outbox_messages=1)
        peer.connect()
        key = peer.assign("t")
        for index in range(100):
            peer.core.attempt_wrote(peer.now, key, "stdout", index * 30_000, b"x" * 30_000)
        self.assertGreater(peer.core.counters.messages_dropped, 50)
        peer.lose()
        peer.wait(2)
        peer.connect(resumed=True, handled=1)
        self.assertNotIn("task_output", peer.kinds())

    def test_a_checkpoint_that_cannot_be_carried_is_refused_to_its_task(self) -> None:
        peer = Peer()
        peer.connect()
        key = peer.assign("t")
        for data in ("x" * (256 << 10), math.nan, {1: {2}}):
            self.assertRaises(UnsuitableValueError, peer.core.attempt_checkpointed, peer.now, key, data)
        self.assertEqual(peer.disk, {})
        self.assertEqual(peer.core.attempt_checkpointed(peer.now, key, None), "t/1/1")

    def test_a_result_that_cannot_be_carried_fails_its_task(self) -> None:
        peer = Peer()
        peer.connect()
        peer.core.attempt_ended(peer.now, peer.assign("t"), Ending("completed", result="x" * (256 << 10)))
        peer.settle()
        self.assertEqual(peer.sent[-1].fields["status"], "failed")
        self.assertIn("262146 bytes", peer.sent[-1].fields["reason"])

    def test_wishes_reach_only_attempts_that_run(self) -> None:
        peer = Peer()
        peer.connect()
        key = peer.assign("t")
        about = {"task_id": "t", "attempt": 1}
        for kind in ("pause_task", "resume_task", "checkpoint_request", "cancel_task", "cancel_task", "pause_task"):
            peer.say_reliably(kind, about)
            peer.say_reliably(kind, {"task_id": "t", "attempt": 2})
        wishes = [effect for effect in peer.effects
                  if isinstance(effect, (PauseAttempt, ResumeAttempt, RequestCheckpoint, StopAttempt))]  # fmt: skip
        self.assertEqual(wishes, [PauseAttempt(key), ResumeAttempt(key), RequestCheckpoint(key),
                                  StopAttempt(key, StopReason.CANCELLED, True)])  # fmt: skip
        peer.core.attempt_ended(peer.now, key, Ending("cancelled", "cancelled on request"))
        peer.settle()
        self.assertEqual(peer.sent[-1].kind, "task_cancelled")
        self.assertNotIn("draining", peer.sent[-1].fields)

    def test_a_refused_attempt_is_stopped_and_says_nothing_more(self) -> None:
        peer = Peer()
        peer.connect()
        key = peer.assign("t")
        peer.say_reliably("task_result_ack", {"task_id": "t", "attempt": 1, "accepted": False, "reason": "stale"})
        self.assertEqual(peer.all(StopAttempt), [StopAttempt(key, StopReason.SUPERSEDED, False)])
        self.assertIsNone(peer.core.attempt_checkpointed(peer.now, key, 1))
        peer.sent.clear()
        peer.core.attempt_ended(peer.now, key, Ending("cancelled"))
        peer.settle()
        self.assertEqual((peer.numbered(), peer.core.active_attempts, peer.disk), ([], [], {}))

    def test_the_lease_stops_what_runs_and_heartbeats_renew_it(self) -> None:
        peer = Peer(heartbeat_timeout=1000.0)
        peer.connect()
        key = peer.assign("t")
        for _ in range(10):
            peer.wait(5.0)
            beat = [message for message in peer.sent if message.kind == "heartbeat"][-1]
            peer.say("heartbeat", {"response_to": beat.fields["sequence"]})
        self.assertEqual(peer.all(StopAttempt), [])
        peer.wait(31.0)
        self.assertEqual(peer.all(StopAttempt), [StopAttempt(key, StopReason.LEASE_EXPIRED, False)])
        peer.core.attempt_ended(peer.now, key, Ending("cancelled"))
        peer.settle()
        self.assertEqual(peer.sent[-1].fields["reason"], "the lease ran out")

    def test_a_process_that_stood_still_beyond_its_lease_declines_what_waited(self) -> None:
        peer = Peer()
        peer.connect()
        peer.now = 100.0
        peer.assign("late")
        self.assertEqual(peer.all(StartAttempt), [])
        self.assertEqual((peer.sent[-1].kind, peer.sent[-1].fields["reason"]), ("task_cancelled", "the lease ran out"))

    def test_silence_ends_the_connection(self) -> None:
        peer = Peer()
        peer.connect()
        peer.wait(16.0)
        self.assertEqual([close.code for close in peer.all(Close)], [4002])
        self.assertGreaterEqual(peer.kinds().count("heartbeat"), 2)

    def test_no_answer_to_the_registration_ends_the_connection(self) -> None:
        peer = Peer()
        peer.core.start(0)
        peer.core.connected(0)
        peer.settle()
        peer.wait(10.0)
        self.assertEqual([close.code for close in peer.all(Close)], [4002])

    def test_a_server_that_asks_for_time_is_given_it(self) -> None:
        peer = Peer()
        peer.core.start(0)
        peer.settle()
        peer.core.connect_failed(0, "503", 20.0)
        self.assertTrue(20.0 <= peer.core.next_deadline <= 20.2)
        peer.wait(21.0)
        peer.core.connected(peer.now)
        peer.lose()
        self.assertLess(peer.core.next_deadline - peer.now, 2.0)

    def test_attempts_to_connect_run_out(self) -> None:
        peer = Peer(max_reconnect_attempts=2)
        peer.core._backoff = Backoff(0.1, 1, max_attempts=2)
        peer.core.start(0)
        for _ in range(3):
            peer.settle()
            peer.core.connect_failed(peer.now, "refused")
            peer.wait(5.0)
        peer.settle()
        self.assertEqual(peer.core.state, ConnectionState.FAILED)
        self.assertEqual(len(peer.all(Stopped)), 1)

    def test_heartbeats_are_as_often_as_asked_for_and_thrice_within_a_lease(self) -> None:
        cases: List[Tuple[Dict[str, Any], float]] = [
            ({}, 5.0),
            ({"heartbeat_interval_s": 1.0}, 1.0),
            ({"heartbeat_interval_s": 7.0}, 5.0),
            ({"heartbeat_interval_s": 7.0, "paced": True}, 7.0),
            ({"heartbeat_interval_s": 60.0, "paced": True}, 7.5),
            ({"lease_s": 6.0}, 2.0),
        ]
        for more, interval in cases:
            peer = Peer()
            peer.connect(**more)
            self.assertEqual(peer.core._interval, interval, more)

    def test_a_drained_worker_says_so_at_once_and_leaves_when_all_is_acknowledged(self) -> None:
        peer = Peer()
        peer.connect()
        key = peer.assign("t")
        peer.core.drain(peer.now)
        peer.settle()
        self.assertEqual((peer.sent[-1].kind, peer.sent[-1].fields["draining"]), ("heartbeat", True))
        peer.assign("crossed")
        self.assertEqual(peer.sent[-1].fields, {"task_id": "crossed", "attempt": 1, "draining": True,
                                                "reason": "the worker is draining"})  # fmt: skip
        peer.core.attempt_ended(peer.now, key, Ending("completed"))
        peer.settle()
        self.assertEqual(peer.all(Stopped), [])
        peer.say("ack", ack=4)
        self.assertEqual(peer.sent[-1].kind, "goodbye")
        self.assertEqual(peer.all(Close), [Close(1000, "the worker is stopping", flush=True)])
        self.assertEqual(len(peer.all(Stopped)), 1)

    def test_a_worker_leaves_when_its_coordinator_asks_for_that(self) -> None:
        peer = Peer()
        peer.connect()
        peer.say("ack", ack=1)
        peer.say_reliably("drain")
        self.assertEqual(peer.kinds()[-2:], ["heartbeat", "goodbye"])
        self.assertEqual(len(peer.all(Stopped)), 1)

    def test_what_still_runs_at_the_end_of_the_drain_is_handed_back_behind_its_checkpoint(self) -> None:
        peer = Peer(drain_timeout=3.0)
        peer.connect()
        key = peer.assign("t")
        peer.core.drain(peer.now)
        peer.settle()
        peer.wait(3.0)
        self.assertEqual(peer.all(RequestCheckpoint), [RequestCheckpoint(key)])
        peer.core.attempt_checkpointed(peer.now, key, 5)
        peer.settle()
        self.assertEqual(peer.all(StopAttempt), [StopAttempt(key, StopReason.DRAINING, True)])
        peer.core.attempt_ended(peer.now, key, Ending("cancelled"))
        peer.settle()
        self.assertEqual([message.kind for message in peer.numbered()][-2:], ["checkpoint", "task_cancelled"])
        self.assertTrue(peer.sent[-1].fields["draining"])
        self.assertIn("t/1/result", peer.disk)

    def test_a_drain_that_nobody_acknowledges_ends_and_keeps_what_it_owes(self) -> None:
        peer = Peer(drain_timeout=0.0)
        peer.connect()
        key = peer.assign("t")
        peer.core.drain(peer.now)
        peer.wait(3.0)
        self.assertEqual(peer.all(StopAttempt)[-1], StopAttempt(key, StopReason.STOPPING, False))
        peer.core.attempt_ended(peer.now, key, Ending("cancelled"))
        peer.settle()
        peer.wait(1.5)
        self.assertEqual(len(peer.all(Stopped)), 1)
        self.assertEqual(sorted(peer.disk), ["t/1/result"])

    def test_a_stopped_worker_without_a_connection_leaves_at_once(self) -> None:
        peer = Peer()
        peer.core.start(0)
        peer.core.connect_failed(0, "refused")
        peer.core.stop(0)
        peer.settle()
        self.assertEqual(len(peer.all(Stopped)), 1)

    def test_no_message_of_a_peer_raises_anything(self) -> None:
        seed = random.randrange(2**32)
        generator = random.Random(seed)
        kinds = ["registration_ack", "heartbeat", "task_assignment", "state_sync_ack", "cancel_task", "pause_task",
                 "task_result_ack", "state_request", "telemetry_request", "error", "welcome", "unheard_of"]  # fmt: skip
        names = ["task_id", "attempt", "task", "checkpoint", "verdicts", "session_id", "resumed", "handled", "lease_s",
                 "state_sync_batch", "response_to", "accepted", "heartbeat_interval_s", "fleet", "message"]  # fmt: skip
        values: List[Any] = [None, True, 0, 1, -5, 1.5, 2**62, "t", "", [], {}, [1], [{}], {"data": 1},
                             [{"task_id": "t", "attempt": 1, "verdict": "done"}]]  # fmt: skip
        for _ in range(500):
            peer = Peer()
            peer.connect()
            for _ in range(generator.randrange(1, 4)):
                fields = {name: generator.choice(values) for name in generator.sample(names, 5)}
                try:
                    peer.say(generator.choice(kinds), fields)
                except Exception as error:
                    self.fail(f"seed {seed}: {error!r}")

    def test_names_in_the_outbox_file(self) -> None:
        self.assertEqual(read_parcel_key("a:b/12/result"), (AttemptKey("a:b", 12), True))
        self.assertEqual(read_parcel_key("a/1/7"), (AttemptKey("a", 1), False))
        for text in ("", "a", "a/1", "/1/2", "a/x/result", "a/1/x", "a/-1/1"):
            self.assertIsNone(read_parcel_key(text))

    def test_telemetry_is_read_when_asked_for(self) -> None:
        peer = Peer()
        peer.connect()
        peer.say("telemetry_request")
        self.assertEqual(len(peer.all(ReadTelemetry)), 1)
        report = peer.core.report()
        self.assertEqual(report["connection_stats"]["state"], "connected")
        self.assertEqual(report["metrics"]["tasks_started"], 0)
        self.assertEqual([effect.level for effect in peer.all(Log)], [logging.INFO])
        self.assertEqual(peer.all(StateChanged)[-1].state, ConnectionState.CONNECTED)
        self.assertIsInstance(Assignment(AttemptKey("a", 1), {}), Assignment)


if __name__ == "__main__":
    unittest.main()
