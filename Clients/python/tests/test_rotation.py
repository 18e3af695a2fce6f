"""Which coordinator is called next, and the race between several, without a network."""

from __future__ import annotations

import asyncio
import random
import unittest
from typing import List, Optional

from lifeline_client.connection import ConnectFailure, Connection
from lifeline_client.dialing import Dialer
from lifeline_client.errors import ConfigurationError
from lifeline_client.rotation import Rotation, split_addresses


class Rounds:
    """A rotation over a scripted time."""

    def __init__(self, count: int, seed: int = 1) -> None:
        self.rotation = Rotation(count, random.Random(seed))
        self.now = 100.0

    def dialled(self) -> List[int]:
        """All that are dialled until something is to be waited for."""
        found: List[int] = []
        while True:
            index, _ = self.rotation.next(self.now)
            if index is None:
                return found
            found.append(index)

    def order(self) -> List[int]:
        """The order in which a round dials when nobody ever answers."""
        self.rotation.begin(self.now)
        found: List[int] = []
        while True:
            more = self.dialled()
            if not more:
                return found
            found += more
            self.now += Rotation.PACING

    def connection(self, index: int, serves: bool, retry_after: Optional[float] = None) -> Optional[float]:
        self.rotation.begin(self.now)
        while index not in self.dialled():
            self.now += Rotation.PACING
        self.rotation.opened(index)
        if serves:
            self.rotation.served()
        return self.rotation.ended(self.now, retry_after)


class RotationTests(unittest.TestCase):
    def test_the_next_is_dialled_a_pacing_after_the_one_before(self) -> None:
        rounds = Rounds(3)
        rounds.rotation.begin(100.0)
        first = rounds.dialled()
        self.assertEqual(len(first), 1)
        self.assertEqual(rounds.rotation.next(100.0), (None, 100.25))
        rounds.now = 100.25
        second = rounds.dialled()
        rounds.now = 100.5
        third = rounds.dialled()
        self.assertEqual(sorted(first + second + third), [0, 1, 2])
        self.assertEqual(rounds.rotation.next(200.0), (None, None))
        self.assertFalse(rounds.rotation.has_failed)

    def test_a_failure_makes_the_next_ones_turn_come_at_once_and_the_round_fails_with_the_last(self) -> None:
        for count in (1, 2, 5):
            rounds = Rounds(count)
            rounds.rotation.begin(rounds.now)
            for _ in range(count):
                dialled = rounds.dialled()
                self.assertEqual(len(dialled), 1)
                rounds.rotation.failed(dialled[0], rounds.now, None)
            self.assertEqual(rounds.dialled(), [])
            self.assertTrue(rounds.rotation.has_failed)
            self.assertEqual(sorted(rounds.order()), list(range(count)))

    def test_a_lost_session_is_looked_for_where_it_was_and_one_without_use_is_tried_last(self) -> None:
        rounds = Rounds(4, seed=3)
        rounds.connection(2, serves=True)
        self.assertEqual({rounds.order()[0] for _ in range(20)}, {2})
        rounds.connection(1, serves=False)
        self.assertEqual({rounds.order()[-1] for _ in range(20)}, {1})
        self.assertGreater(len({rounds.order()[0] for _ in range(50)}), 1)

    def test_a_hint_is_for_the_one_that_gave_it(self) -> None:
        rounds = Rounds(2)
        self.assertIsNone(rounds.connection(0, serves=True, retry_after=3.0))
        self.assertEqual(rounds.order(), [1])
        alone = Rounds(1)
        self.assertEqual(alone.connection(0, serves=True, retry_after=3.0), 3.0)
        self.assertEqual(alone.order(), [0], "whoever wants a round all the same gets one")
        self.assertEqual(Rounds(1).connection(0, serves=True, retry_after=1e9), Rotation.LONGEST_HOLD)

    def test_while_one_gives_no_answer_those_that_refused_are_tried_again(self) -> None:
        for seed in range(20):
            rounds = Rounds(2, seed=seed)
            rounds.rotation.begin(rounds.now)
            silent = rounds.dialled()[0]
            tries = 0
            while rounds.now < 160.0:
                index, at = rounds.rotation.next(rounds.now)
                self.assertFalse(rounds.rotation.has_failed)
                if index is not None:
                    self.assertEqual(index, 1 - silent)
                    tries += 1
                    rounds.rotation.failed(index, rounds.now, None)
                else:
                    assert at is not None
                    rounds.now = max(at, rounds.now + 0.001)
            self.assertTrue(8 <= tries <= 40, f"{tries}, seed {seed}")

    def test_lists_of_addresses(self) -> None:
        self.assertEqual(split_addresses("ws://a:1, ws://b:2"), ["ws://a:1", "ws://b:2"])
        for wrong, part in (
            ("", "expected ws://HOST:PORT"),
            ("ws://a:1,", "beside one"),
            ("ws://a:1,ws://A:1", "twice"),
            ("ws://a,ws://a:80", "twice"),
            ("ws://a:1,wss://b:1", "in the same list"),
            (",".join(f"ws://a:{port}" for port in range(1, 66)), "more than 64"),
        ):
            with self.assertRaisesRegex(ConfigurationError, part, msg=wrong):
                split_addresses(wrong)


class _Socket:
    """Only so much of a WebSocket that a connection can be closed."""

    def __init__(self) -> None:
        self.closed_with: Optional[int] = None

    async def close(self, code: int, reason: str) -> None:
        self.closed_with = code


class DialerTests(unittest.IsolatedAsyncioTestCase):
    async def test_the_first_that_answers_is_taken_and_the_others_are_dropped(self) -> None:
        cancelled: List[str] = []
        socket = _Socket()

        async def call(address: str) -> Connection:
            if address == "ws://silent:1":
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    cancelled.append(address)
                    raise
            if address == "ws://dead:1":
                raise ConnectFailure("refused")
            return Connection(socket, None)

        for _ in range(6):
            dialer = Dialer("ws://silent:1,ws://dead:1,ws://good:1")
            connection = await asyncio.wait_for(dialer.open(call), 20)
            self.assertIsInstance(connection, Connection)
        self.assertIsNone(socket.closed_with)
        self.assertLessEqual(set(cancelled), {"ws://silent:1"})

    async def test_a_failure_says_of_each_why_and_is_for_good_only_when_all_are(self) -> None:
        async def call(address: str) -> Connection:
            if address == "ws://a:1":
                raise ConnectFailure("no way in", is_refusal=True)
            raise ConnectFailure("busy" if address == "ws://b:1" else "no coordinator", 5.0, is_foreign="c" in address)

        with self.assertRaises(ConnectFailure) as caught:
            await Dialer("ws://a:1,ws://b:1").open(call)
        self.assertEqual(str(caught.exception), "ws://a:1: no way in; ws://b:1: busy")
        self.assertFalse(caught.exception.is_refusal)
        self.assertIsNone(caught.exception.retry_after)
        with self.assertRaises(ConnectFailure) as caught:
            await Dialer("ws://a:1,ws://c:1").open(call, refusal_patience=9.0)
        self.assertTrue(caught.exception.is_refusal)
        with self.assertRaises(ConnectFailure) as caught:
            await Dialer("ws://b:1").open(call)
        self.assertEqual(str(caught.exception), "busy")
        self.assertAlmostEqual(caught.exception.retry_after or 0, 5.0, places=1)
