"""What must not grow: the same requests to a large store and to its small twin, turn and turn about. See README.md.

Each cell takes the options of run.py and yields (name, {"small": figures, "large": figures})."""
import contextlib
import json
import multiprocessing
import os
import random
import statistics
import threading
import time

import servers
import wire

MEMORY_LIMIT = "4GiB"
REQUESTS = 400                # of one kind in one turn
RECORDS_SMALL, RECORDS_LARGE = 10_000, 5_000_000
STREAMS_SMALL, STREAMS_LARGE = 200, 10_000  # 200: a page of ListStreams is full at both
IDLE_SECONDS = 20
SOURCES, SHARDS_IN_ALL = 64, 1_000
OBJECTS_LARGE = 1_000_000
DELIVERIES, FLUSHES = 16, 40  # delivery streams of the cell with objects, an object each a flush; flushes a turn
FULL_LIMIT_MIB, FULL_SECONDS = 256, 60
FULL_RECORDS = 150_000        # of 1 KiB: they stay, the rest comes and goes


def start(options, memory_limit=MEMORY_LIMIT):
    return servers.Millrace(options.build, memory_limit)


class Turns:
    """What requests to one server took, turn by turn: latency, and the server's CPU a request."""

    def __init__(self, server, client):
        self.server, self.client = server, client
        self.micros, self.cpu_micros = {}, {}

    def take(self, name, requests, count=REQUESTS):
        micros = self.micros.setdefault(name, [])
        cpu = self.server.cpu_seconds()
        for i in range(count):
            begun = time.perf_counter()
            self.client.exchange(requests[i % len(requests)])
            micros.append((time.perf_counter() - begun) * 1e6)
        self.cpu_micros.setdefault(name, []).append((self.server.cpu_seconds() - cpu) * 1e6 / count)

    def figures(self):
        figures = {}
        for name, micros in self.micros.items():
            figures[name + ", p50_us"] = statistics.median(micros)
            figures[name + ", cpu_us"] = statistics.median(self.cpu_micros[name])
        return figures


def in_turns(options, pair):
    """Rounds over both servers; who goes first changes with each."""
    for turn in range(options.rounds):
        yield from pair if turn % 2 == 0 else reversed(pair)


# ---- records: 10 thousand and 5 million stored

class Store:
    def __init__(self, server, client, records):
        self.server, self.client, self.turns = server, client, Turns(server, client)
        self.shard = client.create("scale")[0]
        self.begun = time.time()
        pieces = 20
        for _ in range(pieces):  # spread over a second at least, so that times tell records apart
            client.fill("scale", records // pieces, 100)
            time.sleep(0.05)
        self.ended = time.time()

    def take_turn(self):
        client, take = self.client, self.turns.take

        def iterator(kind, **members):
            return client.request("GetShardIterator", wire.compact(
                {"StreamName": "scale", "ShardId": self.shard, "ShardIteratorType": kind, **members}))

        def read(at, limit):
            return client.request("GetRecords", wire.compact({"ShardIterator": at, "Limit": limit}))

        take("PutRecord", [client.request("PutRecord", wire.put_record_body("scale", 100)) for _ in range(100)])
        take("GetShardIterator TRIM_HORIZON", [iterator("TRIM_HORIZON")])
        take("GetShardIterator LATEST", [iterator("LATEST")])
        take("GetRecords at the tip", [read(client.iterator("scale", self.shard, "LATEST"), 10_000)])
        found = []
        for name, share in (("early", 0.05), ("middle", 0.5), ("late", 0.95)):
            at = round(self.begun + (self.ended - self.begun) * share, 3)
            page = read(client.iterator("scale", self.shard, "AT_TIMESTAMP", Timestamp=at), 10)
            records = json.loads(bytes(client.exchange(page)))["Records"]
            if len(records) != 10:
                raise SystemExit("%d records are at %s" % (len(records), at))
            found.append(records[0]["SequenceNumber"])
            take("GetShardIterator AT_TIMESTAMP %s" % name, [iterator("AT_TIMESTAMP", Timestamp=at)])
            take("GetRecords of 10, AT_TIMESTAMP %s" % name, [page])
        if sorted(set(found)) != found:
            raise SystemExit("times do not tell records apart: %s" % found)
        for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
            take("GetShardIterator " + kind, [iterator(kind, StartingSequenceNumber=found[1])])

    def figures(self):
        stored = sum(int(float(line.rsplit(" ", 1)[1])) for line in self.client.page("GET", "/_millrace/metrics").splitlines()
                     if line.startswith("millrace_shard_records_total{"))
        return {"records stored": stored, **self.turns.figures()}


def record_cells(options):
    with contextlib.ExitStack() as stack:
        def store(records):
            server = stack.enter_context(start(options))
            return Store(server, stack.enter_context(wire.Client(server.port)), records)

        small, large = store(RECORDS_SMALL), store(RECORDS_LARGE)
        for one in in_turns(options, [small, large]):
            one.take_turn()
        yield "10 thousand and 5 million records", {"small": small.figures(), "large": large.figures()}


# ---- idle: the default configuration, and 1,000 shards in 64 streams with a delivery stream each

def idle_percent(server_list):
    before = [server.cpu_seconds() for server in server_list]
    time.sleep(IDLE_SECONDS)
    return [(server.cpu_seconds() - cpu) / IDLE_SECONDS * 100 for server, cpu in zip(server_list, before)]


def idle_cells(options):
    with start(options) as small, start(options) as large, wire.Client(large.port) as client, \
            wire.Client(small.port) as other:
        shards = {"idle-%d" % i: SHARDS_IN_ALL // SOURCES + (i < SHARDS_IN_ALL % SOURCES) for i in range(SOURCES)}
        for stream, count in shards.items():
            client.create(stream, shards=count)
            client.deliver(stream, stream + "-to-s3")
        time.sleep(1)

        def both(label):
            percents = idle_percent([small, large])
            yield "idle: 2 shards, and 1,000 in 64 streams, " + label, {
                name: {"cpu_percent_of_a_core": percent, "resident_MiB": server.resident_bytes() / 2**20}
                for name, server, percent in zip(("small", "large"), (small, large), percents)}

        yield from both("nothing stored")
        for one, streams in ((client, shards), (other, {"events": 2})):
            for stream, count in streams.items():
                step = 2**128 // count
                records = [{"Data": wire.data(100), "PartitionKey": "k", "ExplicitHashKey": str(step * i + step // 2)}
                           for i in range(count)]
                one.call("PutRecords", StreamName=stream, Records=records)
            one.page("POST", "/_millrace/flush")
        time.sleep(1)
        yield from both("a record in each shard, delivered")


# ---- streams: 200 and 10,000

class Account:
    def __init__(self, server, client, streams):
        self.server, self.client, self.turns = server, client, Turns(server, client)
        self.spare = 0
        self.names = ["stream-%05d" % i for i in range(streams)]
        random.Random(1).shuffle(self.names)
        for name in self.names:
            client.call("CreateStream", StreamName=name, ShardCount=1)
            client.call("PutRecord", StreamName=name, Data=wire.data(100), PartitionKey="k")
        self.ordered = sorted(self.names)
        self.next = 0

    def take_turn(self):
        client = self.client

        def take(name, operation, bodies, count=REQUESTS):
            self.turns.take(name, [client.request(operation, wire.compact(body)) for body in bodies], count)

        some = self.names[:STREAMS_SMALL]
        for name, after in (("first", "a"), ("middle", self.ordered[len(self.ordered) // 2 - 50]),
                            ("last", self.ordered[-101])):
            take("ListStreams, %s page" % name, "ListStreams",
                 [{"ExclusiveStartStreamName": after, "Limit": 100}])
        take("DescribeStreamSummary", "DescribeStreamSummary", [{"StreamName": name} for name in some])
        take("ListShards", "ListShards", [{"StreamName": name} for name in some])
        put = {"Data": wire.data(100), "PartitionKey": wire.key()}
        take("PutRecord to one stream", "PutRecord", [{"StreamName": some[0], **put}])
        take("PutRecord to 200 streams in turn", "PutRecord", [{"StreamName": name, **put} for name in some])
        there = [self.names[(self.next + i) % len(self.names)] for i in range(REQUESTS)]
        self.next += REQUESTS
        take("PutRecord to all in turn", "PutRecord", [{"StreamName": name, **put} for name in there])
        spare = ["spare-%d" % (self.spare + i) for i in range(100)]
        self.spare += len(spare)
        take("CreateStream", "CreateStream", [{"StreamName": name, "ShardCount": 1} for name in spare], len(spare))
        take("DeleteStream", "DeleteStream", [{"StreamName": name} for name in spare], len(spare))

    def figures(self):
        return {"resident_MiB": self.server.resident_bytes() / 2**20, **self.turns.figures()}


def stream_cells(options):
    with contextlib.ExitStack() as stack:
        def account(streams):
            server = stack.enter_context(start(options))
            return Account(server, stack.enter_context(wire.Client(server.port)), streams)

        small, large = account(STREAMS_SMALL), account(STREAMS_LARGE)
        for one in in_turns(options, [small, large]):
            one.take_turn()
        yield "200 and 10,000 streams", {"small": small.figures(), "large": large.figures()}


# ---- objects: an empty hour, and one with a million objects

class Tree:
    def __init__(self, server, client):
        self.server, self.client = server, client
        self.micros, self.cpu_micros = [], []
        self.raw = server.directory / "data" / "s3" / "lake" / "raw"
        self.filled = None
        for i in range(DELIVERIES):
            client.create("source-%d" % i, shards=1)
            client.deliver("source-%d" % i, "delivery-%d" % i)
        self.flush()

    @staticmethod
    def hour():
        return time.strftime("%Y/%m/%d/%H", time.gmtime())

    def fill(self, objects):
        """Files as delivery names them, all in one hour."""
        self.filled = self.raw / self.hour()
        self.filled.mkdir(parents=True, exist_ok=True)
        directory = os.open(self.filled, os.O_DIRECTORY)
        noise = random.Random(1)
        content = b"x" * 100
        for _ in range(objects):
            bits = "%032x" % noise.getrandbits(128)
            uuid = "-".join((bits[:8], bits[8:12], bits[12:16], bits[16:20], bits[20:]))
            file = os.open("delivery-%d-1-%s-%s" % (noise.randrange(DELIVERIES),
                                                    time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime()), uuid),
                           os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=directory)
            os.write(file, content)
            os.close(file)
        os.close(directory)
        os.sync()

    def flush(self):
        """An object of each delivery stream: microseconds, and of CPU, an object."""
        for i in range(DELIVERIES):
            self.client.call("PutRecord", StreamName="source-%d" % i, Data=wire.data(100), PartitionKey="k")
        cpu, begun = self.server.cpu_seconds(), time.perf_counter()
        self.client.page("POST", "/_millrace/flush")
        took = time.perf_counter() - begun
        return took * 1e6 / DELIVERIES, (self.server.cpu_seconds() - cpu) * 1e6 / DELIVERIES

    def take_turn(self):
        here = self.raw / self.hour()
        if self.filled and here != self.filled:  # the hour has changed: the full directory goes with it
            here.parent.mkdir(parents=True, exist_ok=True)
            self.filled = self.filled.rename(here)
        for _ in range(FLUSHES):
            micros, cpu_micros = self.flush()
            self.micros.append(micros)
            self.cpu_micros.append(cpu_micros)
        if self.raw / self.hour() != here:
            raise SystemExit("the hour changed in the middle of a turn: run the cell again")

    def figures(self):
        there = sum(1 for hour in self.raw.glob("*/*/*/*") for _ in os.scandir(hour))
        return {"objects in the tree": there, "an object, p50_us": statistics.median(self.micros),
                "an object, cpu_us": statistics.median(self.cpu_micros)}


def object_cells(options):
    with contextlib.ExitStack() as stack:
        def tree():
            server = stack.enter_context(start(options))
            return Tree(server, stack.enter_context(wire.Client(server.port)))

        small, large = tree(), tree()
        large.fill(OBJECTS_LARGE)
        for one in (small, large):
            for _ in range(10):
                one.flush()  # warms up
        for one in in_turns(options, [small, large]):
            one.take_turn()
        yield "an empty hour, and one with 1 million objects", {"small": small.figures(), "large": large.figures()}


# ---- full: the memory limit reached, readers and delivery at work

class Resident(threading.Thread):
    """The largest resident size of a server in each of several spans."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.samples, self.over = server, [], threading.Event()

    def run(self):
        while not self.over.wait(0.05):
            self.samples.append((time.monotonic(), self.server.resident_bytes() / 2**20))

    def largest(self, since, until):
        return max(size for at, size in self.samples if since <= at <= until)


def read_until(port, stream, shards, end, results):
    """From the horizon to the tip of each shard, over and over."""
    total = 0
    with wire.Client(port) as client:
        while time.monotonic() < end:
            for shard in shards:
                total += client.read_shard(stream, shard)[0]
    results.put(total)


def put_all(client, stream, end=None):
    """Puts until a record is refused or, where an end is given, until then: (accepted, refused) records."""
    request = client.request("PutRecords", wire.put_records_body(stream, 1024, 500))
    accepted = refused = 0
    while time.monotonic() < end if end else not refused:
        reply = bytes(client.exchange(request))
        now_refused = reply.count(b'"ErrorCode":"ProvisionedThroughputExceededException"')
        refused += now_refused
        accepted += reply.count(b'"SequenceNumber"')
        if now_refused + reply.count(b'"SequenceNumber"') != 500:
            raise SystemExit("a record is neither stored nor refused: %s" % reply[:500])
    return accepted, refused


def full_cells(options):
    with start(options, "%dMiB" % FULL_LIMIT_MIB) as server, wire.Client(server.port, timeout=60) as client:
        shards = client.create("full")
        client.deliver("full", "full-to-s3")
        client.fill("full", FULL_RECORDS, 1024)
        begun = time.monotonic()
        end, results = begun + FULL_SECONDS, multiprocessing.Queue()
        readers = [multiprocessing.Process(target=read_until, args=(server.port, "full", some, end, results))
                   for some in (shards, shards[:1])]
        resident = Resident(server)
        for one in (*readers, resident):
            one.start()
        stored, turns, refused = FULL_RECORDS, 0, 0
        while time.monotonic() < end:
            # What is left of the memory goes to a stream that is filled, put to in vain, delivered and deleted.
            name = "turn-%d" % turns
            client.create(name, shards=(1, 200, 20)[turns % 3])  # large chunks, many small ones, some of each
            client.deliver(name, name)
            for until in (None, 0.3):
                now_stored, now_refused = put_all(client, name, until and time.monotonic() + until)
                stored, refused = stored + now_stored, refused + now_refused
            client.page("POST", "/_millrace/flush")
            client.call("Firehose_20150804.DeleteDeliveryStream", DeliveryStreamName=name)
            client.call("DeleteStream", StreamName=name)
            turns += 1
        read = sum(results.get(timeout=60) for _ in readers)
        for reader in readers:
            reader.join()
        resident.over.set()
        resident.join()
        delivered = sum(file.stat().st_size for file in (server.directory / "data" / "s3").rglob("*") if file.is_file())
        if delivered != stored * 1024:
            raise SystemExit("%d bytes are stored and %d delivered" % (stored * 1024, delivered))
        quarter = FULL_SECONDS / 4
        yield "full: %d MiB for %d s, readers and delivery at work" % (FULL_LIMIT_MIB, FULL_SECONDS), {"large": {
            "resident_MiB, first quarter": resident.largest(begun, begun + quarter),
            "resident_MiB, last quarter": resident.largest(end - quarter, end),
            "resident_MiB allowed": FULL_LIMIT_MIB * 1.1 + 64,
            "filled and emptied": turns, "records refused": refused,
            "MB stored and delivered": delivered / 1e6, "MB read": read / 1e6,
        }}


CELLS = {"records": record_cells, "idle": idle_cells, "streams": stream_cells, "objects": object_cells,
         "full": full_cells}
