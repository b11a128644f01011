"""SubscribeToShard as clients hold it open: boto3, and raw HTTP/1.1 and HTTP/2 with JSON and CBOR."""

import base64
import binascii
import http.client as http_client
import json
import queue
import re
import socket
import struct
import threading
import time

import cbor2
import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from conftest import PATIENCE, http
from test_cbor import decoded
from test_http2 import target
from test_kinesis_boto3 import error, put

FIRST = "shardId-000000000000"
HORIZON = {"Type": "TRIM_HORIZON"}


def consumer(kinesis, stream, name="reader"):
    arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    return kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=name)["Consumer"]["ConsumerARN"]


class Held:
    """A subscription by boto3, read by a thread of its own: events come as (when, event), then what ended it."""

    def __init__(self, kinesis, consumer_arn, shard=FIRST, start=HORIZON):
        reply = kinesis.subscribe_to_shard(ConsumerARN=consumer_arn, ShardId=shard, StartingPosition=start)
        assert reply["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/vnd.amazon.eventstream"
        self.stream = reply["EventStream"]
        self.came = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for event in self.stream:
                self.came.put((time.monotonic(), event["SubscribeToShardEvent"]))
            self.came.put((time.monotonic(), None))
        except Exception as failed:
            self.came.put((time.monotonic(), failed))

    def next(self):
        return self.came.get(timeout=PATIENCE)[1]

    def records(self, count):
        """The next `count` records' data, and the event that the last one came in."""
        data, event = [], None
        while len(data) < count:
            event = self.next()
            assert isinstance(event, dict), event
            data += [record["Data"] for record in event["Records"]]
        assert len(data) == count
        return data, event

    def end(self):
        """What ends it, behind events that say nothing."""
        while isinstance(event := self.next(), dict):
            assert event["Records"] == []
        return event


def test_records_are_pushed_as_they_are_put(kinesis, stream):
    put(kinesis, stream, b"before")
    held = Held(kinesis, consumer(kinesis, stream))
    data, event = held.records(1)
    assert data == [b"before"]
    assert event["MillisBehindLatest"] == 0
    late = []
    for i in range(30):
        sent = put(kinesis, stream, b"record %d" % i)
        answered = time.monotonic()
        while True:
            came, event = held.came.get(timeout=PATIENCE)
            if event["Records"]:
                break
        assert [record["Data"] for record in event["Records"]] == [b"record %d" % i]
        assert event["Records"][0]["SequenceNumber"] == event["ContinuationSequenceNumber"] == sent["SequenceNumber"]
        late.append(came - answered)
    # The machine may be busy: most of them come within the 10 ms.
    assert sorted(late)[len(late) // 2] < 0.010, late


def test_it_says_that_it_lives(kinesis, stream):
    started = time.monotonic()
    held = Held(kinesis, consumer(kinesis, stream), start={"Type": "LATEST"})
    times = [held.came.get(timeout=PATIENCE) for _ in range(3)]
    numbers = [event["ContinuationSequenceNumber"] for _, event in times]
    assert all(event["Records"] == [] and event["MillisBehindLatest"] == 0 for _, event in times)
    assert numbers == sorted(numbers)
    gaps = [b - a for a, b in zip([started] + [when for when, _ in times], [when for when, _ in times])]
    assert max(gaps) < 5, gaps


def test_it_goes_on_where_the_number_says(kinesis, stream):
    arn = consumer(kinesis, stream)
    other = consumer(kinesis, stream, "other")
    for i in range(10):
        put(kinesis, stream, b"%d" % i)
    first = Held(kinesis, arn)
    data, event = first.records(10)
    number = event["ContinuationSequenceNumber"]
    put(kinesis, stream, b"10")
    second = Held(kinesis, other, start={"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number})
    assert second.records(1)[0] == [b"10"]
    assert first.records(1)[0] == [b"10"]


def test_one_consumer_has_one_subscription(kinesis, stream):
    arn = consumer(kinesis, stream)
    started = time.monotonic()
    held = Held(kinesis, arn)
    wanted = {"ConsumerARN": arn, "ShardId": FIRST, "StartingPosition": HORIZON}
    assert error(kinesis.subscribe_to_shard, **wanted) == (
        "ResourceInUseException",
        f"Another active subscription exists for this consumer: 000000000000:{stream}:{FIRST}:reader",
    )
    Held(kinesis, arn, "shardId-000000000001").next()  # another shard is another matter
    time.sleep(max(0, started + 5.2 - time.monotonic()))
    second = Held(kinesis, arn)
    assert second.next()["Records"] == []
    assert "ResourceInUseException" in str(held.end())
    put(kinesis, stream, b"to the second")
    assert second.records(1)[0] == [b"to the second"]


def test_through_a_reshard(kinesis, stream):
    arn = consumer(kinesis, stream)
    held = Held(kinesis, arn)
    sent = [b"%d" % i for i in range(50)]
    for data in sent[:25]:
        put(kinesis, stream, data)
    kinesis.split_shard(StreamName=stream, ShardToSplit=FIRST, NewStartingHashKey=str(2**126))
    for data in sent[25:]:
        put(kinesis, stream, data)
    got, event = held.records(25)
    while "ChildShards" not in event:
        event = held.next()
    assert "ContinuationSequenceNumber" not in event
    assert [child["ShardId"] for child in event["ChildShards"]] == ["shardId-000000000002", "shardId-000000000003"]
    assert all(child["ParentShards"] == [FIRST] for child in event["ChildShards"])
    assert held.next() is None
    child = Held(kinesis, arn, "shardId-000000000002")
    got += child.records(25)[0]
    assert got == sent


def test_what_goes_while_it_is_held(kinesis, stream):
    arn = consumer(kinesis, stream)
    held = Held(kinesis, arn)
    held.next()
    kinesis.deregister_stream_consumer(ConsumerARN=arn)
    assert "ResourceNotFoundException" in str(held.end())
    held = Held(kinesis, consumer(kinesis, stream, "second"))
    held.next()
    kinesis.delete_stream(StreamName=stream, EnforceConsumerDeletion=True)
    assert "ResourceNotFoundException" in str(held.end())


def test_refusals_are_ordinary(kinesis, stream):
    arn = consumer(kinesis, stream)
    wanted = {"ConsumerARN": arn, "ShardId": FIRST, "StartingPosition": HORIZON}
    code, text = error(kinesis.subscribe_to_shard, **{**wanted, "ShardId": "shardId-000000000009"})
    assert (code, text) == ("ResourceNotFoundException", f"Shard shardId-000000000009 in stream {stream} under account 000000000000 does not exist")
    code, _ = error(kinesis.subscribe_to_shard, **{**wanted, "StartingPosition": {"Type": "AT_TIMESTAMP"}})
    assert code == "InvalidArgumentException"
    code, _ = error(kinesis.subscribe_to_shard, **wanted, DryRun=True)
    assert code == "DryRunOperationException"


@pytest.mark.parametrize("mode", ["memory", "durable"])
def test_a_stop_ends_it_in_order(start, mode):
    daemon = start(environment={"MILLRACE_STORAGE_MODE": mode})
    kinesis = daemon.client("kinesis")
    kinesis.create_stream(StreamName="s", ShardCount=1)
    held = Held(kinesis, consumer(kinesis, "s"))
    put(kinesis, "s", b"kept")
    assert held.records(1)[0] == [b"kept"]
    began = time.monotonic()
    daemon.stop()
    assert held.end() is None
    assert time.monotonic() - began < 1.5  # it was not waited for


# The wire itself, without a client's help.


class Messages:
    """Messages of an event stream as their bytes come: (headers, payload), every checksum looked at."""

    def __init__(self, decode):
        self.rest, self.decode = b"", decode

    def feed(self, data):
        self.rest += data
        while len(self.rest) >= 12:
            total, headers_size, prelude = struct.unpack(">III", self.rest[:12])
            assert prelude == binascii.crc32(self.rest[:8])
            if len(self.rest) < total:
                return
            message, self.rest = self.rest[:total], self.rest[total:]
            assert struct.unpack(">I", message[-4:])[0] == binascii.crc32(message[:-4])
            headers, at = {}, 12
            while at < 12 + headers_size:
                size = message[at]
                name, kind = message[at + 1 : at + 1 + size].decode(), message[at + 1 + size]
                assert kind == 7
                (length,) = struct.unpack(">H", message[at + 2 + size : at + 4 + size])
                headers[name] = message[at + 4 + size : at + 4 + size + length].decode()
                at += 4 + size + length
            yield headers, self.decode(message[12 + headers_size : -4])


JSON = ("application/x-amz-json-1.1", "application/json", json.dumps, json.loads)
CBOR = ("application/x-amz-cbor-1.1", "application/x-amz-cbor-1.1", cbor2.dumps, decoded)


def data_of(records, wire):
    return [base64.b64decode(record["Data"]) if wire is JSON else record["Data"] for record in records]


def over_http1(daemon, headers, body):
    """The pieces of a reply as they come."""
    host, port = daemon.aws.removeprefix("http://").rsplit(":", 1)
    connection = http_client.HTTPConnection(host, int(port), timeout=PATIENCE)
    connection.request("POST", "/", body, headers)
    reply = connection.getresponse()
    yield reply.status, {name.lower(): value for name, value in reply.getheaders()}
    assert reply.getheader("Transfer-Encoding") == "chunked"
    while piece := reply.read1(65536):
        yield piece
    connection.close()


def over_http2(daemon, headers, body):
    connection = daemon.connect()
    session = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    session.initiate_connection()
    head = {":method": "POST", ":scheme": "http", ":path": "/", ":authority": "localhost"}
    session.send_headers(1, [*head.items(), *((name.lower(), value) for name, value in headers.items())])
    session.send_data(1, body, end_stream=True)
    connection.sendall(session.data_to_send())
    while data := connection.recv(65536):
        for event in session.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                fields = dict(event.headers)
                yield int(fields[":status"]), fields
            elif isinstance(event, h2.events.DataReceived):
                session.acknowledge_received_data(event.flow_controlled_length, 1)
                yield event.data
            elif isinstance(event, h2.events.StreamEnded):
                connection.close()
                return
        connection.sendall(session.data_to_send())
    raise AssertionError("the connection ended before the stream")


@pytest.mark.parametrize("wire", [JSON, CBOR], ids=["json", "cbor"])
@pytest.mark.parametrize("transport", [over_http1, over_http2])
def test_the_bytes_themselves(daemon, kinesis, stream, transport, wire):
    content_type, of_events, encode, decode = wire
    arn = consumer(kinesis, stream)
    for i in range(3):
        put(kinesis, stream, b"%d" % i)
    body = encode({"ConsumerARN": arn, "ShardId": FIRST, "StartingPosition": HORIZON})
    headers = {**target("SubscribeToShard"), "Content-Type": content_type}
    pieces = transport(daemon, headers, body.encode() if wire is JSON else body)
    status, fields = next(pieces)
    assert status == 200
    assert fields["content-type"] == "application/vnd.amazon.eventstream"
    assert fields["x-amzn-requestid"] and fields["x-amz-id-2"]
    assert "content-length" not in fields
    messages = Messages(decode)
    got, split = [], False
    for piece in pieces:
        got += messages.feed(piece)
        if len(got) > 1 and not split:
            split = True
            kinesis.split_shard(StreamName=stream, ShardToSplit=FIRST, NewStartingHashKey=str(2**126))
    assert messages.rest == b""
    assert got[0] == ({":event-type": "initial-response", ":content-type": of_events, ":message-type": "event"}, {})
    expected = {":event-type": "SubscribeToShardEvent", ":content-type": of_events, ":message-type": "event"}
    assert all(headers == expected for headers, _ in got[1:])
    assert [data for _, event in got[1:] for data in data_of(event["Records"], wire)] == [b"0", b"1", b"2"]
    assert [child["ShardId"] for child in got[-1][1]["ChildShards"]] == ["shardId-000000000002", "shardId-000000000003"]
    assert all("ChildShards" not in event for _, event in got[1:-1])


def held_for_replies(daemon):
    return int(re.search(r'^millrace_memory_bytes\{account="replies"\} (\d+)', http("GET", daemon.aws + "/_millrace/metrics").body.decode(), re.M)[1])


def test_peers_that_stall_hold_little_and_nobody_up(daemon, kinesis, stream):
    before = held_for_replies(daemon)
    headers = {**target("SubscribeToShard"), "Content-Type": JSON[0], "Host": "localhost"}
    stalled = []
    for i in range(8):
        body = json.dumps({"ConsumerARN": consumer(kinesis, stream, f"stalled-{i}"), "ShardId": FIRST, "StartingPosition": HORIZON})
        connection = daemon.connect()
        if i % 2:
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            connection.sendall(f"POST / HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        else:
            session = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
            session.initiate_connection()
            session.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
            head = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")]
            head += [(name.lower(), value) for name, value in headers.items() if name != "Host"]
            session.send_headers(1, head)
            session.send_data(1, body.encode(), end_stream=True)
            connection.sendall(session.data_to_send())
        stalled.append(connection)
    reads = Held(kinesis, consumer(kinesis, stream))
    sent = [b"%d" % i + b"x" * 20_000 for i in range(800)]
    for at in range(0, len(sent), 100):
        records = [{"Data": data, "PartitionKey": "k", "ExplicitHashKey": "0"} for data in sent[at : at + 100]]
        assert kinesis.put_records(StreamName=stream, Records=records)["FailedRecordCount"] == 0
    assert reads.records(len(sent))[0] == sent
    # A record of 20 KB more than a piece has, each at most.
    assert held_for_replies(daemon) - before < 9 * (16 + 256 + 32) * 1024
    for i, connection in enumerate(stalled):
        if i % 3 == 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        connection.close()
    put(kinesis, stream, b"last")
    assert reads.records(1)[0] == [b"last"]
    deadline = time.monotonic() + PATIENCE
    while held_for_replies(daemon) - before > 100 * 1024:
        assert time.monotonic() < deadline
        time.sleep(0.01)
