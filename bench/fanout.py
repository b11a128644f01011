"""Many subscriptions: what reaches their readers, beside sockets that are written the same bytes and nothing else."""
import json
import os
import pathlib
import subprocess
import tempfile
import threading

import servers
import wire

STREAMS, CONSUMERS = 4, 50     # what AWS lets one stream have: 200 in all
SIZE = 1024
MARK = "the-end-of-this-load"
ACCOUNT = "arn:aws:kinesis:us-east-1:000000000000:stream/"


def cpu_seconds(process):
    """Of all threads, those that have ended too."""
    fields = pathlib.Path("/proc/%d/stat" % process.pid).read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Readers:
    """So many connections that read what is answered to these requests."""

    def __init__(self, build, port, requests, stalled=0):
        self.file = tempfile.NamedTemporaryFile(suffix=".requests", prefix="millrace-bench-")
        for request in requests:
            self.file.write(b"%d\n%s" % (len(request), request))
        self.file.flush()
        self.process = subprocess.Popen([build / "bench_fanout", "read", str(port), self.file.name, MARK, "--stall", str(stalled)],
                                        stdout=subprocess.PIPE, text=True)

    def ready(self):
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit("the readers do not begin")
        return self

    def result(self):
        """Until all have read the mark."""
        line = self.process.stdout.readline()
        if self.process.wait(60) != 0 or not line:
            raise SystemExit("the readers failed")
        self.file.close()
        return json.loads(line)


def subscribers(client, load, count=STREAMS):
    """Streams with as many consumers as each can have, and a request to subscribe for each."""
    client.call("UpdateAccountSettings", MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    streams = ["fanout-%s-%d" % (load, i) for i in range(count)]
    requests = []
    for stream in streams:
        client.call("CreateStream", StreamName=stream, StreamModeDetails={"StreamMode": "ON_DEMAND"})
        for i in range(CONSUMERS):
            made = client.call("RegisterStreamConsumer", StreamARN=ACCOUNT + stream, ConsumerName="c%d" % i)
            body = wire.compact({"ConsumerARN": made["Consumer"]["ConsumerARN"], "ShardId": "shardId-000000000000",
                                 "StartingPosition": {"Type": "LATEST"}})
            requests.append(client.request("SubscribeToShard", body))
    return streams, requests


def record(key=None):
    return {"Data": wire.data(SIZE), "PartitionKey": key or wire.key(), "ExplicitHashKey": "0"}


def loads(client, stream, records, batch):
    """Requests that put so many records to the one shard, the last of them with the mark for a key."""
    keys = [None] * (records - 1) + [MARK]
    if batch == 1:
        return [client.request("PutRecord", wire.compact({"StreamName": stream, **record(key)})) for key in keys]
    return [client.request("PutRecords", wire.compact({"StreamName": stream, "Records": [record(key) for key in keys[i:i + batch]]}))
            for i in range(0, records, batch)]


GOOD = b"HTTP/1.1 200 "


def send_ahead(port, requests, patience=120):
    """Sends them one behind the other on one connection, without waiting for answers, and reads those."""
    with wire.Client(port, patience) as client:
        sender = threading.Thread(target=client.socket.sendall, args=(b"".join(requests),))
        sender.start()
        left, got = len(requests), b""
        while left:
            got = got[-(len(GOOD) - 1):] + client.socket.recv(1 << 16)
            left -= got.count(GOOD)
            if b"HTTP/1.1 4" in got or b"HTTP/1.1 5" in got:
                raise SystemExit("a put was refused: %r" % got[-300:])
        sender.join()


def put_all(port, puts):
    """All streams' puts at once."""
    threads = [threading.Thread(target=send_ahead, args=(port, requests)) for requests in puts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def figures(result, cpu):
    return {"MB/s": result["bytes"] / 1e6 / result["seconds"], "cpu_ms/MB": cpu * 1e3 / (result["bytes"] / 1e6),
            "events each": result["events"]}


def sockets(build, result):
    """The floor: as many writes of as many bytes."""
    count, port = STREAMS * CONSUMERS, servers.free_port()
    writer = subprocess.Popen([build / "bench_fanout", "write", str(port), str(count), str(os.cpu_count())],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        writer.stdout.readline()
        readers = Readers(build, port, [b"x"] * count).ready()
        before = cpu_seconds(writer)
        writer.stdin.write("%d %d %s\n" % (result["events"], result["bytes_each"] // result["events"], MARK))
        writer.stdin.flush()
        writer.stdout.readline()
        read = readers.result()
        read["events"] = result["events"]
        return figures(read, cpu_seconds(writer) - before)
    finally:
        writer.stdin.close()
        writer.wait()


def replies_bytes(client):
    for line in client.page("GET", "/_millrace/metrics").splitlines():
        if line.startswith("millrace_memory_bytes") and 'account="replies"' in line:
            return float(line.rsplit(" ", 1)[1])
    return 0


def cells(server, options):
    for load, records, batch in (("one", 8000, 1), ("batch", 8000, 100)):
        with wire.Client(server.port) as client:
            streams, requests = subscribers(client, load)
            puts = [loads(client, stream, records, batch) for stream in streams]
            readers = Readers(options.build, server.port, requests).ready()
            cpu = server.cpu_seconds()
            put_all(server.port, puts)
            result = readers.result()
            cpu = server.cpu_seconds() - cpu
            label = "200 subscriptions, PutRecord%s 1 KiB" % ("" if batch == 1 else "s of %d x" % batch)
            yield label, figures(result, cpu)
            yield label, ("sockets", sockets(options.build, result))
            for stream in streams:
                client.call("DeleteStream", StreamName=stream, EnforceConsumerDeletion=True)
    with wire.Client(server.port) as client:
        streams, requests = subscribers(client, "stalls", 1)
        idle = server.resident_bytes()
        readers = Readers(options.build, server.port, requests, stalled=10).ready()
        for put in loads(client, streams[0], 60_000, 100):
            client.exchange(put)
        held = replies_bytes(client)
        readers.result()
        yield "50 subscriptions, 10 stall, 60 MB put", {"held for replies MB": held / 1e6,
                                                        "resident MB": server.resident_bytes() / 1e6,
                                                        "resident before MB": idle / 1e6}
