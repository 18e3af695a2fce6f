"""The envelope, the codes and the proofs, against what the Swift code computes."""

from __future__ import annotations

import json
import math
import random
import unittest

from lifeline_client.auth import APIKey, sign_upgrade, split_address
from lifeline_client.errors import ConfigurationError, ProtocolError, UnsuitableValueError
from lifeline_client.protocol import (
    Message,
    MessageCodes,
    close_hint,
    cut_text,
    decode_json,
    encode_carried,
    encode_json,
    hkdf,
    is_identifier,
    open_envelope,
    put_bytes,
    retry_after,
    seal,
    take_bytes,
    worker_path,
)

RESULT = Message(
    "task_result", {"task_id": "t1", "attempt": 1, "status": "completed", "result": {"text": "line\n\u0001é"}}
).body
ACK = Message("ack", {"durable": True}).body
SECRET = hkdf(bytes([1, 2, 3]), b"client nonce server nonce", "lifeline.v1 channel")


class VectorTests(unittest.TestCase):
    """Tests/CoordinationCoreTests/SessionProtocolVectorTests.swift has the same bytes."""

    def test_checksums_are_those_of_the_description(self) -> None:
        self.assertEqual(
            seal(Message("heartbeat", {"sequence": 1}).body, None, 0),
            b'{"type":"heartbeat","sequence":1,"crc":"9c0abeb6"}',
        )
        self.assertEqual(
            seal(RESULT, 3, 2).decode(),
            '{"type":"task_result","task_id":"t1","attempt":1,"status":"completed","result":{"text":"line\\n\\u0001é"},'
            '"seq":3,"ack":2,"crc":"0b0f1638"}',
        )

    def test_codes_are_those_of_the_description(self) -> None:
        worker = MessageCodes(SECRET)
        self.assertTrue(
            seal(RESULT, 3, 2, worker).endswith(b'"ack":2,"mac":"DhR7gBpZfJV23JkhfDmaBevhUXKlP94PltJ399MmOwA"}')
        )
        self.assertEqual(
            seal(ACK, None, 7, worker),
            b'{"type":"ack","durable":true,"ack":7,"mac":"O3fgqvDUn-xdZv3tDCCP-smzkLmfhuvFpbjIUzivs4A"}',
        )
        self.assertEqual(
            seal(ACK, None, 3, MessageCodes(SECRET, is_worker=False)),
            b'{"type":"ack","durable":true,"ack":3,"mac":"IFYxe68331djezymGeNLVf1-XWKBqLTmeAwJGlWjN4Q"}',
        )

    def test_proofs_secrets_and_answers_are_those_of_the_swift_tests(self) -> None:
        vectors = [
            (
                "rack7.AAECAwQFBgcICQoLDA0ODw.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
                "rack7",
                "nZuQUZs_1GzsNw-oTl1Z7goK6szEd_8S79d5mvmtJkg",
                "cga4_YARn7H9UDzqqrFv7mRkLsBgKqNXhRWUXIFUN-4",
            ),
            (
                "correct-horse-battery",
                "default",
                "858d0uhbvsi7Bb1D-OFRB4rMNmpR7lVIluO9cuevvbs",
                "8wVge8kvpUXwWIRtey6Cye4aqb82uBAqditmEqwYRVI",
            ),
        ]
        for text, name, proof, answer in vectors:
            with self.subTest(name):
                key = APIKey(text)
                upgrade = sign_upgrade(key, "/api/v1/worker/w1/ws", "lifeline.v1", 1_764_061_200_000, bytes(range(16)))
                self.assertEqual(upgrade.fields["X-Lifeline-Key"], name)
                self.assertEqual(upgrade.fields["X-Lifeline-Proof"], proof)
                good = {"X-Lifeline-Nonce": "server", "X-Lifeline-Proof": answer}
                self.assertIsNotNone(upgrade.secret(good))
                for wrong in ({}, {"X-Lifeline-Nonce": "server"}, {**good, "X-Lifeline-Nonce": "other"}):
                    self.assertIsNone(upgrade.secret(wrong))
                self.assertNotIn(text, repr(key))


class EnvelopeTests(unittest.TestCase):
    def test_what_is_sealed_is_opened_with_its_number_and_acknowledgement(self) -> None:
        for with_codes in (False, True):
            ours, theirs = MessageCodes(SECRET), MessageCodes(SECRET, is_worker=False)
            for sequence, acknowledgement in ((None, 0), (1, 0), (None, 7), (2**62, 9)):
                data = seal(RESULT, sequence, acknowledgement, ours if with_codes else None)
                message = open_envelope(data, theirs if with_codes else None)
                self.assertEqual(message.body, RESULT)
                self.assertEqual(message.sequence, sequence)
                self.assertEqual(message.acknowledgement, acknowledgement or None)

    def test_every_changed_byte_is_noticed(self) -> None:
        sealed = seal(RESULT, 3, 4)
        for index in range(len(sealed)):
            for value in range(256):
                if value != sealed[index]:
                    changed = sealed[:index] + bytes([value]) + sealed[index + 1 :]
                    self.assertRaises(ProtocolError, open_envelope, changed)

    def test_every_changed_bit_is_noticed_by_a_code(self) -> None:
        sealed = seal(RESULT, 3, 4, MessageCodes(SECRET))
        for index in range(len(sealed)):
            changed = sealed[:index] + bytes([sealed[index] ^ 4]) + sealed[index + 1 :]
            self.assertRaises(ProtocolError, open_envelope, changed, MessageCodes(SECRET, is_worker=False))

    def test_a_message_with_a_code_cannot_come_again_or_out_of_order_or_from_the_other_side(self) -> None:
        worker = MessageCodes(SECRET)
        first, second = seal(ACK, None, 1, worker), seal(ACK, None, 2, worker)
        coordinator = MessageCodes(SECRET, is_worker=False)
        open_envelope(first, coordinator)
        self.assertRaises(ProtocolError, open_envelope, first, coordinator)
        self.assertRaises(ProtocolError, open_envelope, second, MessageCodes(SECRET, is_worker=False))
        self.assertRaises(ProtocolError, open_envelope, first, MessageCodes(SECRET))

    def test_what_is_cut_or_lacks_a_checksum_is_refused(self) -> None:
        sealed = seal(RESULT, 3, 4)
        for count in range(len(sealed)):
            self.assertRaises(ProtocolError, open_envelope, sealed[:count])
        for data in (RESULT, b"", b"{}", sealed + b" "):
            self.assertRaises(ProtocolError, open_envelope, data)
        self.assertRaises(ProtocolError, open_envelope, sealed, MessageCodes(SECRET))

    def test_what_no_peer_may_say_is_refused_and_nothing_else_is_raised(self) -> None:
        for body in (
            b'{"type":1,"a":1}',
            b'{"a":1}',
            b'{"type":"x","seq":0}',
            b'{"type":"x","ack":-1}',
            b'{"type":"x","seq":1.5}',
            b'{"type":"x","seq":true}',
            b'{"type":"x","a":NaN}',
            b'{"type":"x","a":' + b"[" * 100_000 + b"}",
            b'{"type":"' + b"y" * 65 + b'"}',
        ):
            with self.subTest(body[:40]):
                self.assertRaises(ProtocolError, open_envelope, seal(body, None, 0))

    def test_random_bytes_never_raise_anything_but_a_protocol_error(self) -> None:
        seed = random.randrange(2**32)
        generator = random.Random(seed)
        for _ in range(2000):
            body = bytes(
                generator.choice(b'{}[]",:\\u0019a\xc3\xa9\xff nulltrue-.e') for _ in range(generator.randrange(3, 60))
            )
            data = seal(body + b"}", None, 0) if generator.random() < 0.8 else body
            try:
                open_envelope(data)
            except ProtocolError:
                pass
            except Exception as error:
                self.fail(f"seed {seed}: {error!r} for {data!r}")


class ValueTests(unittest.TestCase):
    def test_what_the_coordinator_could_not_read_is_refused_before_it_is_sent(self) -> None:
        deep: object = 1
        for _ in range(49):
            deep = [deep]
        for value in (math.inf, math.nan, 2**63, -(2**63) - 1, "\ud800", {1, 2}, object(), {"a": [math.inf]}, deep):
            with self.subTest(repr(value)[:30]):
                self.assertRaises(UnsuitableValueError, encode_carried, value, "checkpoint", 1000)
        self.assertRaises(UnsuitableValueError, encode_carried, "x" * 1000, "checkpoint", 1000)
        self.assertEqual(
            encode_carried([2**63 - 1, "é", None, True, 0.5], "checkpoint", 100).decode(),
            '[9223372036854775807,"é",null,true,0.5]',
        )

    def test_a_value_that_holds_itself_is_refused(self) -> None:
        value: list = []  # type: ignore[type-arg]
        value.append(value)
        self.assertRaises(UnsuitableValueError, encode_json, value)

    def test_bytes_come_back_whether_they_are_text_or_not(self) -> None:
        for data in (b"", b"text\n", "é€".encode(), b"\xff\xfe", bytes(range(32)) * 10, b"a" + b"\x00" * 5):
            fields: dict = {}  # type: ignore[type-arg]
            put_bytes(fields, "stdout", data)
            self.assertEqual(len(fields), 1)
            self.assertEqual(take_bytes(json.loads(encode_json(fields)), "stdout"), data)
        self.assertRaises(ProtocolError, take_bytes, {"a_base64": "%"}, "a")
        self.assertIsNone(take_bytes({}, "a"))

    def test_text_is_cut_between_characters(self) -> None:
        self.assertEqual([cut_text("aé€", count) for count in range(7)], ["", "a", "a", "aé", "aé", "aé", "aé€"])

    def test_json_is_read_strictly(self) -> None:
        for text in ("NaN", "[Infinity]", "[1,]", "", "{", b"\xff"):
            self.assertRaises(ProtocolError, decode_json, text)

    def test_identifiers_and_paths(self) -> None:
        for good in ("a", "A-1_2.3:4@{x}", "x" * 128):
            self.assertTrue(is_identifier(good))
        for bad in ("", ".", "..", "a/b", "a b", "é", "x" * 129, "a\n"):
            self.assertFalse(is_identifier(bad))
        self.assertEqual(worker_path("{worker_id}"), "/api/v1/worker/%7Bworker_id%7D/ws")

    def test_addresses(self) -> None:
        self.assertEqual(split_address("ws://h:1", "/p")[0], "ws://h:1/p")
        self.assertEqual(split_address("wss://h", "/p")[0], "wss://h:443/p")
        self.assertEqual(split_address("ws://[::1]:9/", "/p")[0], "ws://[::1]:9/p")
        for bad in ("http://h", "ws://", "ws://h:99999", "ws://h:0", "ws://h/path", "ws://u@h", "h:1"):
            self.assertRaises(ConfigurationError, split_address, bad, "/")

    def test_keys_that_are_none(self) -> None:
        for bad in ("short", "default-key", "with space in it", "x" * 257, "ümlaut-key"):
            self.assertRaises(ConfigurationError, APIKey, bad)

    def test_hints_when_to_come_back(self) -> None:
        self.assertEqual(close_hint(1012, "retry after 2.5 s; the coordinator is restarting"), 2.5)
        self.assertEqual(close_hint(1013, "retry after 30 s"), 30.0)
        self.assertEqual(close_hint(1001, "retry after 9999999 s"), 3600.0)
        for code, reason in (
            (1000, "retry after 1 s"),
            (1012, "retry after 1 sec"),
            (1012, ""),
            (1013, "retry after x s"),
        ):
            self.assertIsNone(close_hint(code, reason))
        self.assertEqual(retry_after("7"), 7.0)
        for text in (None, "", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "99999999999"):
            self.assertIsNone(retry_after(text))


if __name__ == "__main__":
    unittest.main()
