"""What goes on while the daemon is killed: producers, readers, and a changer of state, one thread each."""

import base64
import itertools
import random
import threading
import time

import wire
from ledger import Register
from records import random_size
from settings import Settings

BATCH_BYTES_MAX = 3 << 20
ITERATOR_SECONDS_MAX = 240  # an iterator lives for five minutes
CHURN_STREAMS = 3
TAGS = 4
ELASTIC, SHARDS_MAX = "elastic", 6
# Tags that never change make each change of a stream larger: snapshots of the state come every few seconds.
BALLAST = {f"ballast{n:02d}": "b" * 256 for n in range(40)}


class Gate:
    """Workers pass while the daemon serves, and park while it is down or looked at."""

    def __init__(self, problems):
        self.condition = threading.Condition()
        self.problems = problems
        self.address, self.epoch = None, 0
        self.workers = self.parked = 0
        self.over = False
        # Another daemon may take this one's place, at the same address: what that answers is none of this one's.
        self.no_more_connections = False
        self.trap = Trap()

    def open(self, address):
        with self.condition:
            self.address, self.no_more_connections = address, False
            self.epoch += 1
            self.condition.notify_all()

    def close(self):
        """Returns when nobody has a request under way."""
        with self.condition:
            self.address = None
            self.condition.notify_all()
            if not self.condition.wait_for(lambda: self.parked == self.workers, wire.PATIENCE + 10):
                self.problems.add("hang", f"{self.workers - self.parked} clients do not come back")

    def end(self):
        with self.condition:
            self.over = True
            self.condition.notify_all()

    def may_connect(self):
        return not self.no_more_connections

    def enter(self):
        """Address and epoch; nothing when the run is over."""
        with self.condition:
            self.parked += 1
            self.condition.notify_all()
            self.condition.wait_for(lambda: self.over or self.address)
            self.parked -= 1
            return (None, 0) if self.over else (self.address, self.epoch)

    def lost(self, epoch, why):
        """A connection ended: it must be because the daemon was killed."""
        with self.condition:
            self.parked += 1
            self.condition.notify_all()
            if not self.condition.wait_for(lambda: self.over or not self.address or self.epoch != epoch, 10):
                self.problems.add("error", f"a connection was lost though nobody killed the daemon: {why}")
            self.parked -= 1


class Trap:
    """Kills the daemon at a reply, from the thread that has just read it: nothing is as near to a promise."""

    def __init__(self):
        self.lock = threading.Lock()
        self.what, self.left, self.kill = None, 0, None
        self.sprung = threading.Event()

    def arm(self, what, count, kill):
        with self.lock:
            self.what, self.left, self.kill = what, count, kill
            self.sprung.clear()

    def replied(self, what):
        if self.what != what:
            return
        with self.lock:
            self.left -= 1
            if self.left == 0:
                self.what = None
                self.kill()
                self.sprung.set()


class Worker:
    def __init__(self, gate):
        self.gate = gate
        gate.workers += 1
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        client, used = None, 0
        while True:
            address, epoch = self.gate.enter()
            if address is None:
                return
            if client is None or used != epoch:
                client, used = wire.Client(address, may_connect=self.gate.may_connect), epoch
            try:
                self.step(client)
            except wire.Gone as gone:
                self.gate.lost(epoch, gone)
            except wire.Hangs as hangs:
                self.gate.problems.add("hang", str(hangs))
            except Exception as error:  # a worker that ends would make the test weaker without a word
                self.gate.problems.add("error", f"{type(self).__name__}: {error!r}")
                time.sleep(0.1)

    def step(self, client):
        raise NotImplementedError


def put(client, trap, ledger, records, producer, key, stream, sizes, rng, counts):
    """One PutRecord or PutRecords; what its reply says goes to the ledger. How many records were refused."""
    ids = ledger.send(producer, key, len(sizes))
    entries = [
        b'"Data":"%s","PartitionKey":"%016x"' % (base64.b64encode(records.make(record_id, size)), rng.getrandbits(64))
        for record_id, size in zip(ids, sizes)
    ]
    name = b'"StreamName":"%s"' % stream.encode()
    try:
        if len(ids) == 1 and rng.random() < 0.9:
            replies = [client.call("kinesis", "PutRecord", b"{%s,%s}" % (name, entries[0]))]
        else:
            body = b'{%s,"Records":[%s]}' % (name, b",".join(b"{%s}" % entry for entry in entries))
            replies = client.call("kinesis", "PutRecords", body)["Records"]
        trap.replied("put")
    except wire.Refused as refused:
        replies = [{"ErrorCode": refused.code or str(refused.status), "ErrorMessage": str(refused)}] * len(ids)
    refused = 0
    for record_id, reply in zip(ids, replies, strict=True):
        code = reply.get("ErrorCode")
        if code is None:
            ledger.acknowledge(record_id, key, reply["ShardId"], reply["SequenceNumber"])
            continue
        counts[code] = counts.get(code, 0) + 1
        refused += 1
        if code == "ProvisionedThroughputExceededException":
            ledger.refuse(record_id)
        elif counts[code] <= 3:
            ledger.problems.add("error", f"a put to {stream}: {code} {reply.get('ErrorMessage', '')}")
    return refused


class Producer(Worker):
    """Sends records of all sizes at a pace; or, without one, small records each by itself as fast as they are taken."""

    def __init__(self, gate, ledger, records, streams, seed, bytes_per_second, counts):
        super().__init__(gate)
        self.ledger, self.records, self.streams, self.counts = ledger, records, streams, counts
        self.id = ledger.new_producer()
        self.rng = random.Random(seed)
        self.bytes_per_second = bytes_per_second
        self.next = 0.0

    def step(self, client):
        rng = self.rng
        stream = rng.choice(self.streams)
        if self.bytes_per_second is None:
            if put(client, self.gate.trap, self.ledger, self.records, self.id, stream, stream, [rng.randrange(30, 300)], rng, self.counts):
                time.sleep(0.02)
            return
        sizes = [random_size(rng)]
        if rng.random() < 0.5:
            wanted = rng.randrange(2, 200)
            while len(sizes) < wanted and sum(sizes) < BATCH_BYTES_MAX - (1 << 20):
                sizes.append(random_size(rng, 0.0002))
        now = time.monotonic()
        if self.next > now:
            time.sleep(min(self.next - now, 0.5))
        if put(client, self.gate.trap, self.ledger, self.records, self.id, stream, stream, sizes, rng, self.counts):
            time.sleep(0.02)
        self.next = max(self.next, now - 0.1) + sum(sizes) / self.bytes_per_second


class Reader:
    """Of one shard, from the horizon on; each page is asked for with the iterator that the last one gave, whatever has
    happened to the daemon meanwhile."""

    def __init__(self, ledger, records, key, stream, shard):
        self.ledger, self.records = ledger, records
        self.key, self.stream, self.shard = key, stream, shard
        self.iterator, self.at = None, 0.0
        self.broken = False
        self.ended = False  # all of a closed shard has been read

    def page(self, client, iterator, limit):
        page = client.kinesis("GetRecords", ShardIterator=iterator, Limit=limit)
        found = [(record["SequenceNumber"], self.records.read(base64.b64decode(record["Data"]))) for record in page["Records"]]
        return found, page.get("NextShardIterator"), page["MillisBehindLatest"]

    def step(self, client, limit=2000):
        """Reads a page. Whether there was nothing more to read."""
        if self.broken or self.ended:
            return True
        try:
            if self.iterator is None:
                self.iterator = wire.horizon(client, self.stream, self.shard)
            elif time.monotonic() - self.at > ITERATOR_SECONDS_MAX and (length := self.ledger.length(self.key, self.shard)):
                self.iterator = self.after(client, length - 1)
            found, following, behind = self.page(client, self.iterator, limit)
        except wire.Refused as refused:
            self.ledger.problems.add("iterator", f"{self.key}/{self.shard} cannot be read on: {refused}")
            self.broken = True
            return True
        if found:
            self.ledger.read(self.key, self.shard, found)
        self.iterator, self.at = following, time.monotonic()
        self.ended = following is None
        return self.ended or (not found and behind == 0)

    def catch_up(self, client):
        while not self.step(client, 10000):
            pass
        self.ledger.caught_up(self.key, self.shard)
        if self.broken:
            self.ledger.lost_whole(self.key, self.shard)

    def after(self, client, index, kind="AFTER_SEQUENCE_NUMBER"):
        number = f"{self.ledger.number(self.key, self.shard, index):056d}"
        return client.kinesis(
            "GetShardIterator", StreamName=self.stream, ShardId=self.shard, ShardIteratorType=kind, StartingSequenceNumber=number
        )["ShardIterator"]

    def reread(self, client, begin, iterator, pages_max=None):
        """Reads on from `iterator`, which stands at `begin`, and compares with what was read before. How many."""
        records, pages = [], 0
        behind = 1
        while behind or found:
            if pages == pages_max:
                break
            found, iterator, behind = self.page(client, iterator, 10000)
            records += found
            pages += 1
            if iterator is None:
                behind, found = 0, []
        if begin is None and records:  # LATEST: wherever it stood, from there on nothing may be missing
            begin = self.ledger.index_of(self.key, self.shard, records[0][0])
            if begin is None:
                self.ledger.problems.add("iterator", f"{self.key}/{self.shard}: LATEST gave {records[0][0]}, unknown")
        if begin is not None:
            self.ledger.reread(self.key, self.shard, begin, records, to_the_tip=not (behind or found))
        return len(records)


class Bookmark:
    """An iterator that is kept for after the next crash."""

    def __init__(self, reader, iterator, begin, at_least):
        self.reader, self.iterator, self.begin, self.at_least = reader, iterator, begin, at_least
        self.at = time.monotonic()


class ReaderThread(Worker):
    def __init__(self, gate, readers, seed):
        super().__init__(gate)
        self.readers = itertools.cycle(readers)
        self.count = len(readers)
        self.idle = 0
        self.rng = random.Random(seed)
        self.bookmarks = []

    def step(self, client):
        reader = next(self.readers)
        if self.rng.random() < 0.03:
            self.mark(client, reader)
        self.idle = self.idle + 1 if reader.step(client) else 0
        if self.idle >= self.count:
            time.sleep(0.02)

    def mark(self, client, reader):
        length = reader.ledger.length(reader.key, reader.shard)
        if length == 0 or reader.broken:
            return
        if self.rng.random() < 0.5:
            iterator = client.kinesis(
                "GetShardIterator", StreamName=reader.stream, ShardId=reader.shard, ShardIteratorType="LATEST"
            )["ShardIterator"]
            bookmark = Bookmark(reader, iterator, None, length)
        else:
            index = self.rng.randrange(length)
            bookmark = Bookmark(reader, reader.after(client, index), index + 1, index + 1)
        self.bookmarks = [*self.bookmarks[-7:], bookmark]


class Changer(Worker):
    """Tags, retention, settings, and streams and a delivery stream that come and go."""

    def __init__(self, gate, ledger, records, streams, seed, counts):
        super().__init__(gate)
        self.ledger, self.records, self.streams, self.counts = ledger, records, streams, counts
        self.rng = random.Random(seed)
        self.producer = ledger.new_producer()
        problems = ledger.problems
        self.tags = {(s, f"tag{t}"): Register(f"tag{t} of {s}", None, problems) for s in streams for t in range(TAGS)}
        self.retention = {s: Register(f"retention of {s}", 24, problems) for s in streams}
        self.churn = {f"churn{n}": Register(f"stream churn{n}", None, problems) for n in range(CHURN_STREAMS)}
        self.churn_readers = {}  # key -> readers
        self.delivery = Register("delivery stream come-and-go", None, problems)
        self.shards = Register(f"open shards of {ELASTIC}", 2, problems)
        self.settings = Settings(streams, problems)
        self.number = 0
        self.changes = 0

    def change(self, register, value, call, what="change"):
        """A change whose reply may get lost."""
        register.begin(value)
        try:
            call()
            self.gate.trap.replied(what)
        except wire.Refused as refused:
            register.refused()
            self.ledger.problems.add("error", f"{register.name} to {value!r}: {refused}")
            return
        register.done()
        self.changes += 1

    def step(self, client):
        kind = self.rng.random()
        if self.gate.trap.what == "reshard" or kind < 0.03:
            self.change_shards(client)
        elif kind < 0.25:
            self.settings.step(client, self.rng, self.change)
        elif kind < 0.5:
            self.change_tag(client)
        elif kind < 0.6:
            self.change_retention(client)
        elif kind < 0.9:
            self.change_stream(client)
        else:
            self.change_delivery(client)
        time.sleep(self.rng.random() * 0.02)

    def change_tag(self, client):
        (stream, tag), register = self.rng.choice(sorted(self.tags.items(), key=lambda item: item[0]))
        if register.value is None or self.rng.random() < 0.7:
            self.number += 1
            value = f"v{self.number}"
            self.change(register, value, lambda: client.kinesis("AddTagsToStream", StreamName=stream, Tags={tag: value}))
        else:
            self.change(register, None, lambda: client.kinesis("RemoveTagsFromStream", StreamName=stream, TagKeys=[tag]))

    def change_retention(self, client):
        stream = self.rng.choice(self.streams)
        register = self.retention[stream]
        hours = self.rng.choice([24, 48, 168, 8760])
        if hours == register.value:
            return
        operation = ("Increase" if hours > register.value else "Decrease") + "StreamRetentionPeriod"
        self.change(register, hours, lambda: client.kinesis(operation, StreamName=stream, RetentionPeriodHours=hours))

    def change_shards(self, client):
        now = self.shards.value
        target = self.rng.randint((now + 1) // 2, min(2 * now, SHARDS_MAX))
        call = lambda: client.kinesis("UpdateShardCount", StreamName=ELASTIC, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
        self.change(self.shards, target, call, "reshard")

    def change_stream(self, client):
        name = self.rng.choice(sorted(self.churn))
        register = self.churn[name]
        if register.value is None:
            self.number += 1
            shards = self.rng.randrange(1, 3)
            self.change(register, self.number, lambda: client.kinesis("CreateStream", StreamName=name, ShardCount=shards))
            return
        key = f"{name}#{register.value}"
        if self.rng.random() < 0.7:
            sizes = [random_size(self.rng, 0) for _ in range(self.rng.randrange(1, 20))]
            put(client, self.gate.trap, self.ledger, self.records, self.producer, key, name, sizes, self.rng, self.counts)
            return
        self.change(register, None, lambda: client.kinesis("DeleteStream", StreamName=name))
        if register.allowed == [None]:
            self.ledger.forget(key)
            self.churn_readers.pop(key, None)

    def change_delivery(self, client):
        name = "come-and-go"
        if self.delivery.value is None:
            self.number += 1
            prefix = f"{self.number}/"
            members = wire.delivery_members(name, self.streams[0], "other", prefix, 1, 900)
            self.change(self.delivery, prefix, lambda: client.firehose("CreateDeliveryStream", **members))
        else:
            self.change(self.delivery, None, lambda: client.firehose("DeleteDeliveryStream", DeliveryStreamName=name))

    # ---- after a restart, nothing being under way

    def look(self, client):
        """Compares all that was changed with what the daemon says."""
        for stream in self.streams:
            tags = client.kinesis("ListTagsForStream", StreamName=stream, Limit=50)["Tags"]
            there = {tag["Key"]: tag["Value"] for tag in tags}
            if lost := BALLAST.items() - there.items():
                self.ledger.problems.add("state", f"tags of {stream} are gone: {sorted(lost)[:3]}")
            for (of, tag), register in self.tags.items():
                if of == stream:
                    register.look(there.get(tag))
            summary = client.kinesis("DescribeStreamSummary", StreamName=stream)["StreamDescriptionSummary"]
            self.retention[stream].look(summary["RetentionPeriodHours"])
            if stream == ELASTIC:
                self.shards.look(summary["OpenShardCount"])
        names = set(client.kinesis("ListStreams", Limit=100)["StreamNames"])
        for name in sorted(names - set(self.streams) - set(self.churn)):
            self.ledger.problems.add("state", f"a stream {name} that nobody made")
        for name, register in self.churn.items():
            self.look_at_stream(client, name, register, name in names)
        self.look_at_delivery(client)
        self.settings.look(client)

    def look_at_stream(self, client, name, register, is_there):
        possible = [value for value in register.allowed if value is not None]
        register.look(possible[-1] if is_there and possible else "there" if is_there else None)
        key = f"{name}#{register.value}"
        for gone in [k for k in self.churn_readers if k.startswith(name + "#") and k != key]:
            self.ledger.forget(gone)
            del self.churn_readers[gone]
        for value in possible if not is_there else []:
            self.ledger.forget(f"{name}#{value}")
        if not is_there or not possible:
            return
        if key not in self.churn_readers:
            shards = wire.shard_ids(client, name)
            self.churn_readers[key] = [Reader(self.ledger, self.records, key, name, shard) for shard in shards]
        for reader in self.churn_readers[key]:
            reader.catch_up(client)

    def look_at_delivery(self, client):
        try:
            reply = client.firehose("DescribeDeliveryStream", DeliveryStreamName="come-and-go")
            found = reply["DeliveryStreamDescription"]["Destinations"][0]["ExtendedS3DestinationDescription"]["Prefix"]
        except wire.Refused as refused:
            if refused.code != "ResourceNotFoundException":
                raise
            found = None
        self.delivery.look(found)
