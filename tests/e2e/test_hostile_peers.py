"""Peers that mean no good, or are unwell. Each form in docs/http.md gets the answer that stands there, and whatever one
connection does, a good client on another is served."""

import contextlib
import json
import re
import resource
import socket
import struct

import pytest

from conftest import PATIENCE, ROOT, Daemon, http

AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=00"
LISTENERS = ["aws", "gateway"]


def head(operation):
    return (
        f"POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: Kinesis_20131202.{operation}\r\nX-Amz-Date: 20260101T000000Z\r\n"
        f"Content-Type: application/x-amz-json-1.1\r\nAuthorization: {AUTHORIZATION}\r\n"
    ).encode()


def kinesis_request(operation, **members):
    body = json.dumps(members).encode()
    return head(operation) + b"Content-Length: %d\r\n\r\n" % len(body) + body


EVENT_HEAD = b"POST /PROD/v1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
EVENT = EVENT_HEAD + b'Content-Length: 7\r\n\r\n{"a":1}'
HALF_A_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nX-Lo"


class Reply:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body


class Peer:
    """A connection that sends exactly what it is told."""

    def __init__(self, daemon, listener="aws", receive_buffer=None):
        host, port = daemon.urls[listener][0].removeprefix("http://").rsplit(":", 1)
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect((host, int(port)))
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """All of it, unless the daemon has closed meanwhile."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def send_now(self, data):
        """As much as goes without waiting."""
        self.socket.setblocking(False)
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        finally:
            self.socket.settimeout(PATIENCE)

    def end_side(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _fill(self):
        try:
            piece = self.socket.recv(1 << 20)
        except ConnectionError:
            return False
        self.received += piece
        return bool(piece)

    def reply(self):
        """The next reply; nothing when the connection ends before one."""
        while b"\r\n\r\n" not in self.received:
            if not self._fill():
                assert self.received == b""
                return None
        lines, self.received = self.received.split(b"\r\n\r\n", 1)
        status, *fields = lines.decode("latin-1").split("\r\n")
        fields = dict(field.lower().split(": ", 1) for field in fields)
        size = int(fields.get("content-length", 0))
        while len(self.received) < size:
            assert self._fill(), "the reply is not whole"
        body, self.received = self.received[:size], self.received[size:]
        return Reply(int(status.split()[1]), fields, body)

    def ask(self, data):
        self.send(data)
        return self.reply()


class Good(Peer):
    """A client as it should be."""

    def is_served(self):
        assert self.ask(kinesis_request("ListStreams")).status == 200


@pytest.fixture(autouse=True)
def good(daemon):
    """Served all the time: over a connection from before a test's deeds, and after them."""
    with Good(daemon) as client:
        client.is_served()
        yield client
        client.is_served()
    with Good(daemon) as client:
        client.is_served()
    assert daemon.alive(), daemon.log()


# ---- the tables of docs/http.md

ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


def bytes_of(text):
    text = re.sub(r"\{(\d+) × (.*?)\}", lambda match: match[2] * int(match[1]), text).replace("↵", "\r\n")
    text = re.sub(r"\\(x[0-9a-f]{2}|[nrt0])", lambda match: ESCAPES.get(match[1]) or chr(int(match[1][1:], 16)), text)
    return text.encode("latin-1")


def table(heading, columns):
    """The rows below a heading, each a dictionary."""
    section = (ROOT / "docs/http.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    header = "| " + " | ".join(columns) + " |\n"
    lines = section.split(header)[1].split("\n\n")[0].splitlines()[1:]
    rows = [dict(zip(columns, line.strip("|").strip().split(" | "), strict=True)) for line in lines]
    return [{name: cell.strip() for name, cell in row.items()} for row in rows]


FORMS = [row for heading in ("Request lines", "Header fields", "Lengths, codings, expectations") for row in table(heading, ["form", "sent", "answer"])]
BODIES = table("Bodies", ["form", "sent", "answer", "and then"])
REFUSALS = {row["status"]: row for row in table("Refusals", ["status", "`aws`", "`gateway`"])}


def test_the_tables_are_there():
    assert (len(FORMS), len(BODIES), len(REFUSALS)) == (90, 28, 5)


def form_of(row):
    return row["form"]


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("row", FORMS, ids=form_of)
def test_a_form_has_the_answer_of_the_table(daemon, good, row, listener):
    with Peer(daemon, listener) as peer:
        reply = peer.ask(bytes_of(row["sent"].strip("`")))
        good.is_served()
        if row["answer"] == "taken":
            assert reply.status == 403  # of a handler that has no such route
            assert reply.fields.get("connection", "keep-alive") == "keep-alive"
            assert peer.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 403
        else:
            assert str(reply.status) == row["answer"]
            assert reply.fields["connection"] == "close"
            assert reply.body.decode() == REFUSALS[row["answer"]][f"`{listener}`"].strip("`")
            peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert peer.reply() is None


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("row", BODIES, ids=form_of)
def test_a_body_has_the_answer_of_the_table(daemon, good, row, listener):
    expected = [] if row["answer"] == "none" else row["answer"].split(", ")
    goes_on = row["and then"] == "goes on"
    with Peer(daemon, listener) as peer:
        peer.send({"aws": head("ListStreams"), "gateway": EVENT_HEAD}[listener] + bytes_of(row["sent"].strip("`")))
        if goes_on:
            peer.send({"aws": kinesis_request("ListStreams"), "gateway": EVENT}[listener])
            expected = [*expected, "200"]
        good.is_served()
        peer.end_side()
        for status in expected:
            assert str(peer.reply().status) == status
        assert peer.reply() is None


# ---- what takes time or many

def test_many_heads_that_come_slowly_hold_little(daemon, good):
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(Peer(daemon, listener)) for _ in range(300) for listener in LISTENERS]
        for peer in slow:
            peer.send(HALF_A_HEAD)
        good.is_served()
        # Each has been read by now or will be; what all of them hold is far from a buffer each.
        page = http("GET", daemon.aws + "/_millrace/metrics").body.decode()
        held = int(re.search(r'^millrace_memory_bytes\{[^}]*account="connections"[^}]*\} (\d+)', page, re.M)[1])
        assert held < len(slow) * 16 * 1024
        for peer in slow[::50]:
            assert peer.ask(b"ng: b\r\nContent-Length: 0\r\n\r\n").status in (400, 403)


def test_a_request_byte_by_byte_is_a_request(daemon, good):
    with Peer(daemon) as peer:
        for byte in kinesis_request("ListStreams"):
            peer.send(bytes([byte]))
        good.is_served()
        assert peer.reply().status == 200


def test_bodies_that_do_not_come_keep_nobody_out(daemon, good):
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            peer = stack.enter_context(Peer(daemon, "gateway"))
            peer.send(EVENT_HEAD + b"Content-Length: 9000000\r\n\r\nx")
        good.is_served()
        with Peer(daemon, "gateway") as client:
            assert client.ask(EVENT).status == 200


@pytest.fixture(scope="module")
def large_reply(daemon):
    """The request for a reply of some megabytes."""
    data = "QUFB" * 300_000
    with Peer(daemon) as client:
        assert client.ask(kinesis_request("CreateStream", StreamName="large", ShardCount=1)).status == 200
        for _ in range(8):
            assert client.ask(kinesis_request("PutRecord", StreamName="large", Data=data, PartitionKey="k")).status == 200
        iterator = client.ask(kinesis_request("GetShardIterator", StreamName="large", ShardId="0", ShardIteratorType="TRIM_HORIZON"))
        return kinesis_request("GetRecords", ShardIterator=json.loads(iterator.body)["ShardIterator"])


def test_readers_that_do_not_read_keep_nobody_out(daemon, good, large_reply):
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(Peer(daemon, receive_buffer=4096)).send(large_reply)
        good.is_served()
        with Peer(daemon) as client:
            assert len(client.ask(large_reply).body) > 8_000_000


def test_a_half_closed_connection_gets_its_replies(daemon, good, large_reply):
    with Peer(daemon) as peer:
        peer.send(kinesis_request("ListStreams") + large_reply + kinesis_request("ListStreams"))
        peer.end_side()
        good.is_served()
        assert peer.reply().status == 200
        assert len(json.loads(peer.reply().body)["Records"]) == 8
        assert peer.reply().status == 200
        assert peer.reply() is None


def test_a_reset_anywhere_hurts_nobody(daemon, good, large_reply):
    request = kinesis_request("ListStreams")
    for sent in (b"", b"P", HALF_A_HEAD, request[:-1], head("ListStreams") + b"Content-Length: 9000000\r\n\r\nx", request, large_reply):
        for number in range(50):
            peer = Peer(daemon)
            peer.send(sent)
            if sent == large_reply and number % 2:
                assert peer.socket.recv(1000)
            peer.reset()
        good.is_served()


def test_a_flood_of_connections_that_are_reset_hurts_nobody(daemon, good):
    for number in range(2000):
        Peer(daemon, LISTENERS[number % 2]).reset()
        if number % 500 == 0:
            good.is_served()


def test_a_flood_of_requests_whose_replies_nobody_reads_keeps_nobody_out(daemon, good):
    request = kinesis_request("ListStreams")
    with contextlib.ExitStack() as stack:
        floods = [stack.enter_context(Peer(daemon, receive_buffer=4096)) for _ in range(8)]
        for flood in floods:
            sent = 0
            # At most what both sides' sockets hold is taken: far less than this.
            while sent < 200 << 20 and (now := flood.send_now(request * 1000)):
                sent += now
            assert sent < 200 << 20
            good.is_served()
        # What was sent is answered in order, once somebody reads.
        for _ in range(100):
            assert json.loads(floods[0].reply().body)["StreamNames"]


def test_few_open_files_are_enough_to_serve_and_deliver(start):
    daemon = start(files_max=256)
    with contextlib.ExitStack() as stack:
        # More than have a place: the last of them wait outside. Half of them have begun a request.
        idle = [stack.enter_context(Peer(daemon, listener)) for _ in range(150) for listener in LISTENERS]
        for peer in idle[::4] + idle[1::4]:
            peer.send(HALF_A_HEAD)
        with Peer(daemon, "gateway") as client:
            assert client.ask(EVENT).status == 200
        daemon.flush()
        assert daemon.delivered() == b'{"a":1}\n'
    assert "accepting rests" in daemon.log()


def test_too_few_open_files_are_an_error_at_the_start(tmp_path):
    with pytest.raises(AssertionError, match=r"the limit of open files is 64: at least \d+ are needed"):
        Daemon(tmp_path, files_max=64).start()


IDLE = 10_000


def test_ten_thousand_idle_connections_are_held_and_served(start):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < IDLE + 1000:
        pytest.skip(f"the hard limit of open files is {hard}: {IDLE + 1000} are needed")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        daemon = start()
        with contextlib.ExitStack() as stack:
            idle = [stack.enter_context(Peer(daemon, listener)) for _ in range(IDLE // 2) for listener in LISTENERS]
            for peer in idle[::1000]:
                assert peer.ask(kinesis_request("ListStreams")).status == 200
            for peer in idle[1::1000]:
                assert peer.ask(EVENT).status == 200
            with Good(daemon) as client:
                client.is_served()
            page = http("GET", daemon.aws + "/_millrace/metrics").body.decode()
            assert int(re.search(r"^process_open_fds (\d+)", page, re.M)[1]) > IDLE
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
