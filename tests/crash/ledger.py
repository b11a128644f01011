"""What was sent, acknowledged, read and delivered, and whether it agrees. Knows no daemon: tests plant faults in it."""

import array
import bisect
import collections
import threading

from records import name_of

ACKNOWLEDGED, REFUSED, READ, DELIVERED = 1, 2, 4, 8
_TOLD_MAX = 40


class Problems:
    """Each has a kind, one word, and a sentence."""

    def __init__(self):
        self.counts = collections.Counter()
        self.told = []
        self.lock = threading.Lock()

    def add(self, kind, sentence):
        with self.lock:
            self.counts[kind] += 1
            if self.counts[kind] <= _TOLD_MAX:
                self.told.append(f"{kind}: {sentence}")

    def __bool__(self):
        return bool(self.counts)


class _Producer:
    def __init__(self):
        self.marks = bytearray()  # one a record sent, by sequence
        self.streams = array.array("H")  # where it was sent
        self.shards = array.array("H")  # where it was read, plus one


class _Shard:
    """The records in the order in which they were read, and what was acknowledged and not read yet."""

    def __init__(self, index, stream, name):
        self.index, self.stream, self.name = index, stream, name
        self.ids, self.numbers = array.array("Q"), []
        self.waiting = {}  # number -> id
        self.last_of_producer = {}


class Ledger:
    """Streams are known by a key that no two incarnations share. Thread-safe; a record is noted as sent before its first
    byte leaves, as acknowledged when its reply was read."""

    def __init__(self, problems=None):
        self.problems = problems or Problems()
        self.lock = threading.Lock()
        self.producers, self.streams, self.stream_keys = [], {}, []
        self.shards, self.shard_list = {}, []
        self.acknowledged = self.verified = self.forgotten = self.delivered_records = 0

    # ---- what happens

    def new_producer(self):
        with self.lock:
            self.producers.append(_Producer())
            return len(self.producers) - 1

    def stream(self, key):
        with self.lock:
            return self._stream(key)

    def _stream(self, key):
        if key not in self.streams:
            self.streams[key] = len(self.stream_keys)
            self.stream_keys.append(key)
        return self.streams[key]

    def _shard(self, key, name):
        shard = self.shards.get((key, name))
        if shard is None:
            shard = _Shard(len(self.shard_list), self._stream(key), f"{key}/{name}")
            self.shards[key, name] = shard
            self.shard_list.append(shard)
        return shard

    def send(self, producer, key, count):
        """The ids of the next `count` records, which are about to be sent, each once."""
        with self.lock:
            known = self.producers[producer]
            first = len(known.marks)
            known.marks.extend(bytes(count))
            known.streams.extend([self._stream(key)] * count)
            known.shards.extend([0] * count)
            return [producer << 40 | (first + i) for i in range(count)]

    def _find(self, record_id):
        """Producer and sequence of a record that was sent; nothing for any other."""
        producer, sequence = record_id >> 40, record_id & ((1 << 40) - 1)
        if producer >= len(self.producers) or sequence >= len(self.producers[producer].marks):
            return None, 0
        return self.producers[producer], sequence

    def acknowledge(self, record_id, key, shard_name, number):
        number = int(number)
        with self.lock:
            producer, sequence = self._find(record_id)
            shard = self._shard(key, shard_name)
            self.acknowledged += 1
            producer.marks[sequence] |= ACKNOWLEDGED
            if producer.marks[sequence] & READ:
                self._compare(shard, record_id, number, producer.shards[sequence] - 1)
                return
            other = self._holder(shard, number)
            if other is not None:
                self.problems.add("reused", f"{shard.name} {number} names {name_of(other)} and {name_of(record_id)}")
                return
            shard.waiting[number] = record_id

    def _holder(self, shard, number):
        """The record that has this number, as far as is known."""
        return shard.waiting[number] if number in shard.waiting else self._read_at(shard, number)

    @staticmethod
    def _read_at(shard, number):
        at = bisect.bisect_left(shard.numbers, number)
        return shard.ids[at] if at < len(shard.numbers) and shard.numbers[at] == number else None

    def _compare(self, shard, record_id, number, read_in):
        """A record that was read before its acknowledgement was noted."""
        at = bisect.bisect_left(shard.numbers, number)
        if read_in != shard.index or at == len(shard.numbers) or shard.numbers[at] != number or shard.ids[at] != record_id:
            self.problems.add(
                "moved", f"{name_of(record_id)} was acknowledged at {shard.name} {number} and read somewhere else"
            )
        else:
            self.verified += 1

    def refuse(self, record_id):
        """The reply said that this record was not taken: it must never be seen."""
        with self.lock:
            producer, sequence = self._find(record_id)
            producer.marks[sequence] |= REFUSED
            if producer.marks[sequence] & READ:
                self.problems.add("invented", f"{name_of(record_id)} was refused, and had been read")

    def read(self, key, shard_name, records):
        """The next records of a shard, in the order of a reader that began at the horizon: (number, id), the id None
        where the data is no record's."""
        with self.lock:
            shard = self._shard(key, shard_name)
            for number, record_id in records:
                self._read_one(shard, int(number), record_id)

    def _read_one(self, shard, number, record_id):
        tell = self.problems.add
        where = f"{shard.name} {number}"
        if shard.numbers and number <= shard.numbers[-1]:
            holder = self._read_at(shard, number)
            if holder is None:
                tell("reordered", f"{where} came after {shard.numbers[-1]}")
            else:
                tell("doubled" if holder == record_id else "reused", f"{where} was read before, as {name_of(holder)}")
            return
        expected = shard.waiting.pop(number, None)
        if record_id is None:
            tell("invented", f"{where}: data that is no record's" + (f", instead of {name_of(expected)}" if expected is not None else ""))
            return
        producer, sequence = self._find(record_id)
        if producer is None:
            tell("invented", f"{where}: {name_of(record_id)} was never sent")
            return
        mark = producer.marks[sequence]
        if producer.streams[sequence] != shard.stream:
            tell("invented", f"{where}: {name_of(record_id)} was sent to {self.stream_keys[producer.streams[sequence]]}")
        if mark & REFUSED:
            tell("invented", f"{where}: {name_of(record_id)} was refused")
        if mark & READ:
            tell("doubled", f"{where}: {name_of(record_id)} is in {self.shard_list[producer.shards[sequence] - 1].name} already")
            return
        if expected is not None and expected != record_id:
            tell("reused", f"{where} was acknowledged for {name_of(expected)} and holds {name_of(record_id)}")
        elif expected is None and mark & ACKNOWLEDGED:
            tell("moved", f"{where}: {name_of(record_id)} was acknowledged at another number")
        elif expected is not None:
            self.verified += 1
        if sequence < shard.last_of_producer.get(record_id >> 40, -1):
            tell("reordered", f"{where}: {name_of(record_id)} came after a later one of its producer")
        shard.last_of_producer[record_id >> 40] = sequence
        producer.marks[sequence] = mark | READ
        producer.shards[sequence] = shard.index + 1
        shard.ids.append(record_id)
        shard.numbers.append(number)

    # ---- what must hold when nothing is under way

    def caught_up(self, key, shard_name):
        """A reader has reached the tip of the shard."""
        with self.lock:
            shard = self._shard(key, shard_name)
            for number, record_id in sorted(shard.waiting.items()):
                self.problems.add("lost", f"{name_of(record_id)}, acknowledged at {shard.name} {number}")
            shard.waiting.clear()

    def lost_whole(self, key, shard_name):
        """The shard cannot be read any more."""
        with self.lock:
            shard = self._shard(key, shard_name)
            if shard.ids:
                self.problems.add("lost", f"{shard.name} with {len(shard.ids)} records that were read before")

    def length(self, key, shard_name):
        with self.lock:
            return len(self._shard(key, shard_name).ids)

    def number(self, key, shard_name, index):
        with self.lock:
            return self._shard(key, shard_name).numbers[index]

    def index_of(self, key, shard_name, number):
        """Where this number was read; nothing when it was not."""
        with self.lock:
            numbers = self._shard(key, shard_name).numbers
            at = bisect.bisect_left(numbers, int(number))
            return at if at < len(numbers) and numbers[at] == int(number) else None

    def reread(self, key, shard_name, begin, records, to_the_tip=True):
        """Once more what was read before, from index `begin` on: nothing may have changed."""
        with self.lock:
            shard = self._shard(key, shard_name)
            was = list(zip(shard.numbers[begin:], shard.ids[begin:]))
            now = [(int(number), record_id) for number, record_id in records]
            if not to_the_tip:
                was = was[: len(now)]
            if was == now:
                return True
            before, after = collections.Counter(was), collections.Counter(now)
            for number, record_id in sorted((before - after), key=str):
                self.problems.add("lost", f"{shard.name} {number}, {name_of(record_id)}: was read before")
            for number, record_id in sorted((after - before), key=str):
                what = "data that is no record's" if record_id is None else name_of(record_id)
                known = (number, record_id) in before
                self.problems.add("doubled" if known else "invented", f"{shard.name} {number}, {what}: was not read before")
            if before == after:
                self.problems.add("reordered", f"{shard.name} from {was[0][0]} on")
            return False

    def forget(self, key):
        """The stream was deleted, and its records with it."""
        with self.lock:
            for name in [name for name in self.shards if name[0] == key]:
                self.forgotten += len(self.shards.pop(name).waiting)

    # ---- delivery

    def delivered(self, path, ids):
        """The records of one object, which is new. Readers have caught up."""
        with self.lock:
            last = {}
            for record_id in ids:
                if record_id is None:
                    self.problems.add("invented", f"object {path} has a line that is no record's")
                    continue
                producer, sequence = self._find(record_id)
                if producer is None or not producer.marks[sequence] & READ:
                    self.problems.add("invented", f"object {path}: {name_of(record_id)} is in no shard")
                    continue
                if producer.marks[sequence] & DELIVERED:
                    self.problems.add("delivered-twice", f"{name_of(record_id)}, for the second time in {path}")
                    continue
                producer.marks[sequence] |= DELIVERED
                self.delivered_records += 1
                place = producer.shards[sequence], record_id >> 40
                if sequence < last.get(place, -1):
                    self.problems.add("reordered", f"object {path}: {name_of(record_id)}")
                last[place] = sequence

    def add_up(self):
        """Each acknowledged record was verified, or deleted with its stream before anybody read it."""
        if self.acknowledged != self.verified + self.forgotten:
            self.problems.add("lost", f"{self.acknowledged} acknowledged, {self.verified} verified, {self.forgotten} deleted")

    def all_delivered(self, keys):
        """Everything that was read of these streams, be it acknowledged or not, is in an object."""
        with self.lock:
            for (key, _), shard in self.shards.items():
                if key not in keys:
                    continue
                for number, record_id in zip(shard.numbers, shard.ids):
                    producer, sequence = self._find(record_id)
                    if not producer.marks[sequence] & DELIVERED:
                        self.problems.add("undelivered", f"{name_of(record_id)}, {shard.name} {number}")


class Objects:
    """The tree of delivered objects: what is there stays, whole and with the same bytes."""

    def __init__(self, root, records, ledger):
        self.root, self.records, self.ledger = root, records, ledger
        self.known = {}  # path -> (inode, time, bytes)

    def look(self):
        """Readers have caught up."""
        found = set()
        for path in sorted(self.root.rglob("*")) if self.root.exists() else []:
            if not path.is_file():
                continue
            stat = path.stat()
            found.add(path)
            now = stat.st_ino, stat.st_mtime_ns, stat.st_size
            if self.known.get(path, (None,))[0] == now:
                continue
            data = path.read_bytes()
            name = str(path.relative_to(self.root))
            if path in self.known:  # written again after a crash
                if self.known[path][1] != hash(data):
                    self.ledger.problems.add("changed", f"object {name} has other bytes than before")
            else:
                self.ledger.delivered(name, self._ids(name, data))
            self.known[path] = now, hash(data)
        for path in self.known.keys() - found:
            self.ledger.problems.add("lost", f"object {path.relative_to(self.root)} is gone")
            del self.known[path]

    def _ids(self, name, data):
        if not data.endswith(b"\n"):
            self.ledger.problems.add("invented", f"object {name} ends in the middle of a line")
        return [self.records.read(line) for line in data.split(b"\n")[:-1]]


class Register:
    """A value that changes by requests whose reply may be lost: what it may be, until somebody looks."""

    def __init__(self, name, value, problems):
        self.name, self.problems = name, problems
        self.allowed = [value]

    def begin(self, value):
        self.allowed.append(value)

    def done(self):
        """The last change was acknowledged: nothing older may be seen any more."""
        self.allowed = self.allowed[-1:]

    def refused(self):
        self.allowed.pop()

    def look(self, value):
        if value not in self.allowed:
            self.problems.add("state", f"{self.name} is {value!r} and not {' or '.join(map(repr, self.allowed))}")
        self.allowed = [value]

    @property
    def value(self):
        return self.allowed[-1]
