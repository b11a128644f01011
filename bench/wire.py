"""A small Kinesis client over one kept connection: enough for filling, reading back and timing single calls."""
import base64
import json
import os
import socket
import time

HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "User-Agent": "millrace-bench",
    "X-Amz-Date": "20260102T030405Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260102/us-east-1/kinesis/aws4_request, "
                     "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=" + "5e" * 32,
}
CBOR = "application/x-amz-cbor-1.1"
SHARDS = 4


def target_header(operation):
    """Of a Kinesis operation; another service's is given with its prefix."""
    return operation if "." in operation else "Kinesis_20131202." + operation


def key():
    return os.urandom(16).hex()


def data(size):
    return base64.b64encode(os.urandom(size)).decode()


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def put_record_body(stream, size):
    return compact({"StreamName": stream, "Data": data(size), "PartitionKey": key()})


def put_records_body(stream, size, count):
    records = [{"Data": data(size), "PartitionKey": key()} for _ in range(count)]
    return compact({"StreamName": stream, "Records": records})


def cbor_head(major, number):
    for info, size, limit in ((24, 1, 1 << 8), (25, 2, 1 << 16), (26, 4, 1 << 32)):
        if number < 24:
            return bytes([major << 5 | number])
        if number < limit:
            return bytes([major << 5 | info]) + number.to_bytes(size, "big")
    raise ValueError(number)


def cbor_text(text):
    return cbor_head(3, len(text)) + text.encode()


def put_records_cbor(stream, size, count):
    body = cbor_head(5, 2) + cbor_text("StreamName") + cbor_text(stream) + cbor_text("Records") + cbor_head(4, count)
    for _ in range(count):
        body += cbor_head(5, 2) + cbor_text("Data") + cbor_head(2, size) + os.urandom(size)
        body += cbor_text("PartitionKey") + cbor_text(key())
    return body


class BadReply(Exception):
    pass


class Client:
    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines = "".join("%s: %s\r\n" % item for item in HEADERS.items())
        self.head = "POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s" % (port, lines)
        self.buffer = bytearray(1 << 16)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def request(self, operation, body):
        """The bytes of a whole request."""
        head = "%sX-Amz-Target: %s\r\nContent-Length: %d\r\n\r\n" % (self.head, target_header(operation), len(body))
        return (head + body).encode()

    def page(self, method, path):
        """An operator's page, as text."""
        head = "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n" % (method, path)
        return bytes(self.exchange(head.encode())).decode()

    def grow(self, size):
        """A new buffer, because a view of the old one may still be in use."""
        larger = bytearray(size)
        larger[:len(self.buffer)] = self.buffer
        self.buffer = larger

    def exchange(self, request):
        """Sends a whole request; the reply's body as a view that lasts until the next call."""
        self.socket.sendall(request)
        have, body_at, need = 0, None, None
        while need is None or have < need:
            if have == len(self.buffer):
                self.grow(2 * have)
            got = self.socket.recv_into(memoryview(self.buffer)[have:])
            if got == 0:
                raise BadReply("the connection was closed")
            have += got
            if need is None:
                end = self.buffer.find(b"\r\n\r\n", 0, have)
                if end < 0:
                    continue
                head = bytes(self.buffer[:end]).decode("latin-1")
                fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
                body_at = end + 4
                need = body_at + int(fields.get("content-length", "0"))
                if len(self.buffer) < need:
                    self.grow(need)
        body = memoryview(self.buffer)[body_at:need]
        status = int(head.split(" ", 2)[1])
        if status != 200:
            raise BadReply("%d %s" % (status, bytes(body[:300]).decode("utf-8", "replace")))
        return body

    def call(self, operation, **members):
        body = bytes(self.exchange(self.request(operation, compact(members))))
        return json.loads(body) if body else {}

    def create(self, stream, wait=5, shards=SHARDS):
        self.call("CreateStream", StreamName=stream, ShardCount=shards)
        end = time.monotonic() + wait
        while True:  # a stream may be CREATING for a moment
            try:
                found = self.call("ListShards", StreamName=stream).get("Shards", [])
            except BadReply:
                found = []
            if len(found) == shards:
                return [shard["ShardId"] for shard in found]
            if time.monotonic() > end:
                raise BadReply("stream %s does not become active" % stream)
            time.sleep(0.01)

    def deliver(self, stream, delivery_stream, size_mib=1, interval_s=60, prefix="raw/"):
        """A delivery stream from `stream` into bucket `lake`."""
        role = "arn:aws:iam::000000000000:role/bench"
        self.call("Firehose_20150804.CreateDeliveryStream", DeliveryStreamName=delivery_stream,
                  DeliveryStreamType="KinesisStreamAsSource",
                  KinesisStreamSourceConfiguration={
                      "KinesisStreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/" + stream, "RoleARN": role},
                  ExtendedS3DestinationConfiguration={
                      "RoleARN": role, "BucketARN": "arn:aws:s3:::lake", "Prefix": prefix,
                      "BufferingHints": {"SizeInMBs": size_mib, "IntervalInSeconds": interval_s}})

    def fill(self, stream, records, size, batch=500):
        """Puts so many records. Bodies are made beforehand and used again: what counts is what the server keeps."""
        requests = [self.request("PutRecords", put_records_body(stream, size, batch)) for _ in range(8)]
        for i in range(records // batch):
            reply = bytes(self.exchange(requests[i % len(requests)])[:2000])
            if b'"ErrorCode"' in reply:
                raise BadReply("a record was refused: %s" % reply[:300].decode())

    def iterator(self, stream, shard, kind, **members):
        return self.call("GetShardIterator", StreamName=stream, ShardId=shard, ShardIteratorType=kind,
                         **members)["ShardIterator"]

    def read_shard(self, stream, shard, count=False):
        """Reads from the horizon to the tip: bytes on the wire and, where asked for (it takes its time), records."""
        iterator = self.iterator(stream, shard, "TRIM_HORIZON")
        total = records = 0
        while True:
            page = self.exchange(self.request("GetRecords", compact({"ShardIterator": iterator, "Limit": 10000})))
            total += len(page)
            if count:
                records += bytes(page).count(b'"PartitionKey"')
            # Both stand outside the records, at one end of the page or the other.
            ends = bytes(page[:2000]) + bytes(page[-2000:])
            if b'"MillisBehindLatest":0' in ends:
                return total, records
            at = ends.index(b'"NextShardIterator":"') + 21
            iterator = ends[at:ends.index(b'"', at)].decode()
