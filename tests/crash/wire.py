"""Kinesis and Firehose over one kept connection, with the standard library: a load must not wait for its client."""

import json
import socket
import time

HEADERS = (
    "Content-Type: application/x-amz-json-1.1\r\n"
    "X-Amz-Date: 20260102T030405Z\r\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=test/20260102/us-east-1/kinesis/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=" + "5e" * 32 + "\r\n"
)
TARGETS = {"firehose": "Firehose_20150804.", "kinesis": "Kinesis_20131202."}
ROLE = "arn:aws:iam::000000000000:role/crash"
PATIENCE = 60  # seconds until a request counts as hanging


class Gone(Exception):
    """The connection ended before there was a whole reply: what was asked for may have happened."""


class Hangs(Exception):
    """No reply in PATIENCE seconds from a daemon that was not killed."""


class Refused(Exception):
    """A whole reply that is an error: `code` is AWS's name for it."""

    def __init__(self, status, body):
        try:
            said = json.loads(body)
            self.code = said.get("__type", "").rsplit("#", 1)[-1]
            self.message = said.get("message", said.get("Message", ""))
        except (ValueError, AttributeError):
            self.code, self.message = "", body[:200].decode("latin-1")
        self.status = status
        super().__init__(f"{status} {self.code} {self.message}")


def compact(members):
    return json.dumps(members, separators=(",", ":")).encode()


class Client:
    """Connects at the first request, and again after a connection was lost, while it may."""

    def __init__(self, address, patience=PATIENCE, may_connect=lambda: True):
        self.address, self.patience, self.may_connect = address, patience, may_connect
        self.socket = None
        self.got = b""

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket, self.got = None, b""

    def kinesis(self, operation, **members):
        return self.call("kinesis", operation, compact(members))

    def kinesis_of(self, account, operation, **members):
        """As an account that is not the configured one."""
        return self.call("kinesis", operation, compact(members), HEADERS.replace("Credential=test/", f"Credential={account}/"))

    def firehose(self, operation, **members):
        return self.call("firehose", operation, compact(members))

    def call(self, service, operation, body, headers=HEADERS):
        reply = self.exchange("POST", "/", body, f"{headers}X-Amz-Target: {TARGETS[service]}{operation}\r\n")
        return json.loads(reply) if reply else {}

    def page(self, method, path):
        """One of the operator's pages."""
        return self.exchange(method, path, b"", "")

    def exchange(self, method, path, body, headers):
        request = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body
        begun = time.monotonic()
        try:
            if self.socket is None:
                if not self.may_connect():
                    raise ConnectionError("the daemon is about to be replaced")
                self.socket = socket.create_connection(self.address, timeout=self.patience)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.sendall(request)
            status, reply = self.reply()
        except TimeoutError:
            self.close()
            raise Hangs(f"{method} {path} {headers[-60:].strip()}: no reply in {time.monotonic() - begun:.0f} s") from None
        except OSError as error:
            self.close()
            raise Gone(str(error)) from None
        if not 200 <= status < 300:
            raise Refused(status, reply)
        return reply

    def reply(self):
        got = self.got
        while (end := got.find(b"\r\n\r\n")) < 0:
            got += self.more()
        head = got[:end].decode("latin-1").lower().split("\r\n")
        length = next((int(line.split(":")[1]) for line in head if line.startswith("content-length:")), 0)
        closes = "connection: close" in head
        pieces, have = [got[end + 4 :]], len(got) - end - 4
        while have < length:
            pieces.append(self.more())
            have += len(pieces[-1])
        body = b"".join(pieces)
        self.got = body[length:]
        if closes:
            self.close()
        return int(head[0].split()[1]), body[:length]

    def more(self):
        got = self.socket.recv(1 << 18)
        if not got:
            raise ConnectionError("closed by the daemon")
        return got


def shard_ids(client, stream):
    return [shard["ShardId"] for shard in shards(client, stream)]


def shards(client, stream):
    """Of all pages: a run that lasts has more than a thousand."""
    page = client.kinesis("ListShards", StreamName=stream)
    found = page["Shards"]
    while token := page.get("NextToken"):
        page = client.kinesis("ListShards", NextToken=token)
        found += page["Shards"]
    return found


def horizon(client, stream, shard):
    return client.kinesis("GetShardIterator", StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]


def delivery_members(name, source, bucket, prefix, size_mib, interval_s):
    return {
        "DeliveryStreamName": name,
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {
            "KinesisStreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/" + source,
            "RoleARN": ROLE,
        },
        "ExtendedS3DestinationConfiguration": {
            "RoleARN": ROLE,
            "BucketARN": "arn:aws:s3:::" + bucket,
            "Prefix": prefix,
            "BufferingHints": {"SizeInMBs": size_mib, "IntervalInSeconds": interval_s},
            "ProcessingConfiguration": {
                "Enabled": True,
                "Processors": [{"Type": "AppendDelimiterToRecord", "Parameters": []}],
            },
        },
    }
