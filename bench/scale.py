"""What must not grow: the same requests to a large store and to its small twin, turn and turn about. See README.md.

Each cell takes the options of run.py and yields (name, {"small": figures, "large": figures})."""
import contextlib
import itertools
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
REQUESTS, TURNS = 400, 8      # of one kind in one round; turns in which they are sent
RECORDS_SMALL, RECORDS_LARGE = 10_000, 5_000_000
STREAMS_SMALL, STREAMS_LARGE = 200, 10_000  # 200: a page of ListStreams is full at both
IDLE_SECONDS = 20
SOURCES, SHARDS_IN_ALL = 64, 1_000
OBJECTS_LARGE = 1_000_000
DELIVERIES, FLUSHES = 16, 5   # delivery streams of the cell with objects, an object each a flush; flushes a turn
FULL_LIMIT_MIB, FULL_SECONDS = 256, 60
FULL_RECORDS = 150_000        # of 1 KiB: they stay, the rest comes and goes


def start(options, memory_limit=MEMORY_LIMIT):
    return servers.Millrace(options.build, memory_limit)


class Turns:
    """What requests to one server took: latency of each, and of every turn the server's CPU a request."""

    def __init__(self, server, client):
        self.server, self.client = server, client
        self.micros, self.cpu_micros = {}, {}

    def take(self, name, requests):
        micros = self.micros.setdefault(name, [])
        cpu = self.server.cpu_seconds()
        for request in requests:
            begun = time.perf_counter()
            self.client.exchange(request)
            micros.append((time.perf_counter() - begun) * 1e6)
        self.cpu_micros.setdefault(name, []).append((self.server.cpu_seconds() - cpu) * 1e6 / len(requests))

    def figures(self):
        figures = {}
        for name, micros in self.micros.items():
            figures[name + ", p50_us"] = statistics.median(micros)
            figures[name + ", cpu_us"] = statistics.median(self.cpu_micros[name])
        return figures


@contextlib.contextmanager
def one_core():
    """Servers that are started here, and their client, share one core: where the system puts threads, and how long an
    idle core takes to wake, is no part of what is compared."""
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(every)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)


def alternating(pair, turns):
    """Both, so many times; who goes first changes with each turn."""
    for turn in range(turns):
        yield from pair if turn % 2 == 0 else reversed(pair)


def take_turns(options, pair):
    """So many rounds of what each of the two asks, kind by kind, a few requests of one and then of the other: what slows
    the machine for a moment slows both."""
    for _ in range(options.rounds):
        # Both make their requests when their turn comes: an iterator at the tip is made after the puts.
        for kinds in zip(*(one.kinds() for one in pair)):
            places = {one: 0 for one in pair}
            requests = {one: of_kind for one, (_, of_kind) in zip(pair, kinds)}
            for one in alternating(pair, TURNS):
                place = places[one]
                places[one] += REQUESTS // TURNS
                one.turns.take(kinds[0][0], requests[one][place:places[one]])


def filled_up(requests):
    """A list of REQUESTS, these over and over."""
    return list(itertools.islice(itertools.cycle(requests), REQUESTS))


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

    def kinds(self):
        client = self.client

        def iterator(kind, **members):
            return client.request("GetShardIterator", wire.compact(
                {"StreamName": "scale", "ShardId": self.shard, "ShardIteratorType": kind, **members}))

        def read(at, limit):
            return client.request("GetRecords", wire.compact({"ShardIterator": at, "Limit": limit}))

        yield "PutRecord", filled_up([client.request("PutRecord", wire.put_record_body("scale", 100))
                                      for _ in range(100)])
        yield "GetShardIterator TRIM_HORIZON", filled_up([iterator("TRIM_HORIZON")])
        yield "GetShardIterator LATEST", filled_up([iterator("LATEST")])
        yield "GetRecords at the tip", filled_up([read(client.iterator("scale", self.shard, "LATEST"), 10_000)])
        found = []
        for name, share in (("early", 0.05), ("middle", 0.5), ("late", 0.95)):
            at = round(self.begun + (self.ended - self.begun) * share, 3)
            page = read(client.iterator("scale", self.shard, "AT_TIMESTAMP", Timestamp=at), 10)
            records = json.loads(bytes(client.exchange(page)))["Records"]
            if len(records) != 10:
                raise SystemExit("%d records are at %s" % (len(records), at))
            found.append(records[0]["SequenceNumber"])
            yield "GetShardIterator AT_TIMESTAMP %s" % name, filled_up([iterator("AT_TIMESTAMP", Timestamp=at)])
            yield "GetRecords of 10, AT_TIMESTAMP %s" % name, filled_up([page])
        if sorted(set(found)) != found:
            raise SystemExit("times do not tell records apart: %s" % found)
        for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
            yield "GetShardIterator " + kind, filled_up([iterator(kind, StartingSequenceNumber=found[1])])

    def figures(self):
        stored = sum(int(float(line.rsplit(" ", 1)[1])) for line in self.client.page("GET", "/_millrace/metrics").splitlines()
                     if line.startswith("millrace_shard_records_total{"))
        return {"records stored": stored, **self.turns.figures()}


def record_cells(options):
    with one_core(), contextlib.ExitStack() as stack:
        def store(records):
            server = stack.enter_context(start(options))
            return Store(server, stack.enter_context(wire.Client(server.port)), records)

        small, large = store(RECORDS_SMALL), store(RECORDS_LARGE)
        take_turns(options, [small, large])
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

    def kinds(self):
        def requests(operation, bodies):
            return [self.client.request(operation, wire.compact(body)) for body in bodies]

        some = self.names[:STREAMS_SMALL]
        for name, after in (("first", "a"), ("middle", self.ordered[len(self.ordered) // 2 - 50]),
                            ("last", self.ordered[-101])):
            yield "ListStreams, %s page" % name, filled_up(
                requests("ListStreams", [{"ExclusiveStartStreamName": after, "Limit": 100}]))
        for operation in ("DescribeStreamSummary", "ListShards"):
            yield operation, filled_up(requests(operation, [{"StreamName": name} for name in some]))
        put = {"Data": wire.data(100), "PartitionKey": wire.key()}
        there = [self.names[(self.next + i) % len(self.names)] for i in range(REQUESTS)]
        self.next += REQUESTS
        for name, streams in (("one stream", some[:1]), ("200 streams in turn", some), ("all in turn", there)):
            yield "PutRecord to " + name, filled_up(requests("PutRecord", [{"StreamName": s, **put} for s in streams]))
        spare = ["spare-%d" % (self.spare + i) for i in range(REQUESTS)]
        self.spare += len(spare)
        yield "CreateStream", requests("CreateStream", [{"StreamName": name, "ShardCount": 1} for name in spare])
        yield "DeleteStream", requests("DeleteStream", [{"StreamName": name} for name in spare])

    def figures(self):
        return {"resident_MiB": self.server.resident_bytes() / 2**20, **self.turns.figures()}


def stream_cells(options):
    with one_core(), contextlib.ExitStack() as stack:
        def account(streams):
            server = stack.enter_context(start(options))
            return Account(server, stack.enter_context(wire.Client(server.port)), streams)

        small, large = account(STREAMS_SMALL), account(STREAMS_LARGE)
        take_turns(options, [small, large])
        yield "200 and 10,000 streams", {"small": small.figures(), "large": large.figures()}


# ---- objects: an empty hour, and one with a million objects

class Prefix:
    """Delivery streams that write below one prefix."""

    def __init__(self, server, client, name):
        self.server, self.client, self.name = server, client, name
        self.micros, self.cpu_micros = [], []
        self.floor_micros, self.floor_cpu_micros = [], []
        self.directory = server.directory / "data" / "s3" / "lake" / name
        self.filled = None
        for i in range(DELIVERIES):
            client.create("%s-%d" % (name, i), shards=1)
            client.deliver("%s-%d" % (name, i), "%s-to-s3-%d" % (name, i), prefix=name + "/")
        self.flush()

    @staticmethod
    def hour():
        return time.strftime("%Y/%m/%d/%H", time.gmtime())

    def fill(self, objects):
        """Files as delivery names them, all in one hour."""
        self.filled = self.directory / self.hour()
        self.filled.mkdir(parents=True, exist_ok=True)
        directory = os.open(self.filled, os.O_DIRECTORY)
        noise = random.Random(1)
        content = b"x" * 100
        for _ in range(objects):
            bits = "%032x" % noise.getrandbits(128)
            uuid = "-".join((bits[:8], bits[8:12], bits[12:16], bits[16:20], bits[20:]))
            file = os.open("%s-to-s3-%d-1-%s-%s" % (self.name, noise.randrange(DELIVERIES),
                                                    time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime()), uuid),
                           os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=directory)
            os.write(file, content)
            os.close(file)
        os.close(directory)
        os.sync()

    def flush(self):
        """An object of each delivery stream: microseconds, and of CPU, an object."""
        for i in range(DELIVERIES):
            self.client.call("PutRecord", StreamName="%s-%d" % (self.name, i), Data=wire.data(100), PartitionKey="k")
        cpu, begun = self.server.cpu_seconds(), time.perf_counter()
        self.client.page("POST", "/_millrace/flush")
        took = time.perf_counter() - begun
        return took * 1e6 / DELIVERIES, (self.server.cpu_seconds() - cpu) * 1e6 / DELIVERIES

    def write_alone(self, hour, count):
        """The file system's part: so many files made, written and renamed as delivery does it. Microseconds of each,
        and of CPU a file."""
        temporary = self.server.directory / "data" / "tmp" / "bench"
        micros, begun_cpu = [], time.process_time()
        for _ in range(count):
            begun = time.perf_counter()
            file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.write(file, b"x" * 100)
            os.rename(temporary, hour / ("bench-" + wire.key()))
            os.close(file)
            micros.append((time.perf_counter() - begun) * 1e6)
        return micros, (time.process_time() - begun_cpu) * 1e6 / count

    def take_turn(self):
        here = self.directory / self.hour()
        if self.filled and here != self.filled:  # the hour has changed: the full directory goes with it
            here.parent.mkdir(parents=True, exist_ok=True)
            self.filled = self.filled.rename(here)
        for _ in range(FLUSHES):
            micros, cpu_micros = self.flush()
            self.micros.append(micros)
            self.cpu_micros.append(cpu_micros)
        micros, cpu_micros = self.write_alone(here, FLUSHES * DELIVERIES)
        self.floor_micros += micros
        self.floor_cpu_micros.append(cpu_micros)
        if self.directory / self.hour() != here:
            raise SystemExit("the hour changed in the middle of a turn: run the cell again")

    def figures(self):
        there = sum(1 for hour in self.directory.glob("*/*/*/*") for _ in os.scandir(hour))
        return {"objects in the hour": there, "an object, p50_us": statistics.median(self.micros),
                "an object, cpu_us": statistics.median(self.cpu_micros),
                "file system alone, p50_us": statistics.median(self.floor_micros),
                "file system alone, cpu_us": statistics.median(self.floor_cpu_micros)}


def object_cells(options):
    with start(options) as server, wire.Client(server.port) as client:
        # Below one data directory: where the file system puts new files is the same for both, and what differs is where
        # they are renamed to.
        small, large = Prefix(server, client, "small"), Prefix(server, client, "large")
        large.fill(OBJECTS_LARGE)
        for one in alternating([small, large], 5):
            one.flush()  # warms up
        for one in alternating([small, large], options.rounds * TURNS):
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
