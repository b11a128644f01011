#!/usr/bin/env python3
"""Kills a loaded daemon again and again, and looks whether it has kept what it promised.

Every record that was acknowledged must be there once, in order, at its shard and number; none that was not sent, and none
twice; numbers grow and name one record for ever; iterators from before a crash go on; streams, tags, settings and delivery
streams are as acknowledged; each record is in one delivered object, once all is flushed, and an object that was there has
the same bytes ever after. See README.md."""

import argparse
import collections
import json
import pathlib
import random
import shutil
import sys
import tempfile
import time

import load
import snapshots
import watch
import wire
from daemon import BINARY, SANITIZER, Daemon, NotReady
from ledger import Ledger, Objects
from records import Records

# stream -> shards, delivery stream. The first is declared by the config file, the others are made by requests; the last is
# scaled to other counts of shards all the time.
STREAMS = {"declared": (1, "declared-out"), "two": (2, "two-out"), "four": (4, None), load.ELASTIC: (2, "elastic-out")}
KINDS = {"random": 4, "reply": 6, "change": 3, "reshard": 4, "roll": 5, "delivery": 5, "recovery": 4, "state": 2, "snapshot": 3, "restore": 2, "stopping": 1, "stop": 1, "none": 1}  # and their weights
AIM_SECONDS = 3.0


def config(options):
    durable = f"  sync: {options.sync}\n  file_size: {options.file_size}\n" if options.mode == "durable" else ""
    delivery = json.dumps(wire.delivery_members("declared-out", "declared", "lake", "declared/", 1, 1))
    return f"""
listen: {{aws: "127.0.0.1:0", gateway: "127.0.0.1:0"}}
data_dir: data
multi_account: true
storage:
  mode: {options.mode}
{durable}  memory_limit: {options.memory_limit}
shutdown: {{deadline: 30s}}
streams:
  - {{StreamName: declared, ShardCount: 1}}
delivery_streams:
  - {delivery}
"""


class Run:
    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.rng = random.Random(options.seed)
        self.records = Records(options.seed)
        self.ledger = Ledger()
        self.problems = self.ledger.problems
        self.daemon = Daemon(directory, config(options), options.binary)
        self.objects = Objects(self.daemon.data / "s3" / "lake", self.records, self.ledger)
        self.kills = collections.Counter()
        self.counts = {}  # errors of puts, by code
        self.shapes = {}  # what never changes of a stream
        self.closed = {}  # shard -> as it was listed
        self.iterators_kept = self.reread_records = 0
        self.ready_ms = []
        self.snapshots = snapshots.Snapshots(self)

    # ---- life of the daemon

    def start(self):
        self.daemon.launch()
        address = self.daemon.wait_until_ready()
        self.ready_ms.append(self.daemon.ready_ms)
        return address

    def prepare(self):
        address = self.start()
        client = wire.Client(address)
        for stream, (shards, delivery) in STREAMS.items():
            if stream == "declared":
                continue
            client.kinesis("CreateStream", StreamName=stream, ShardCount=shards)
            if delivery:
                client.firehose("CreateDeliveryStream", **wire.delivery_members(delivery, stream, "lake", stream + "/", 1, 1))
        for stream in STREAMS:
            client.kinesis("AddTagsToStream", StreamName=stream, Tags=load.BALLAST)
        self.gate = load.Gate(self.problems)
        names = list(STREAMS)
        seeds = [self.rng.getrandbits(64) for _ in range(self.options.producers + 3)]
        rate = self.options.rate * (1 << 20) / ((self.options.producers + 1) // 2)
        self.workers = [
            load.Producer(self.gate, self.ledger, self.records, names, seed, rate if i % 2 == 0 else None, self.counts)
            for i, seed in enumerate(seeds[3:])
        ]
        self.readers = [
            load.Reader(self.ledger, self.records, stream, stream, shard)
            for stream in names
            for shard in wire.shard_ids(client, stream)
        ]
        self.reader_threads = [load.ReaderThread(self.gate, self.readers[i::2], seeds[i]) for i in range(2)]
        self.changer = load.Changer(self.gate, self.ledger, self.records, names, seeds[2], self.counts)
        for worker in [*self.workers, *self.reader_threads, self.changer]:
            worker.thread.start()
        self.shapes = {stream: self.shape(client, stream) for stream in names}
        client.close()
        return address

    @staticmethod
    def shape(client, stream):
        summary = client.kinesis("DescribeStreamSummary", StreamName=stream)["StreamDescriptionSummary"]
        fixed = {name: summary[name] for name in ("StreamARN", "StreamStatus", "StreamCreationTimestamp")}
        shards = [summary["OpenShardCount"], wire.shards(client, stream)]
        return json.dumps([fixed, *([] if stream == load.ELASTIC else shards)], sort_keys=True)

    def look_at_shards(self, client):
        """Of the stream that is scaled: closed shards stay as they are, open ones share all keys, and each is read."""
        try:
            shards = wire.shards(client, load.ELASTIC)
        except wire.Refused:
            return  # it is gone, and its shape has told so
        known = {reader.shard for reader in self.readers if reader.stream == load.ELASTIC}
        for shard in shards:
            if shard["ShardId"] not in known:
                self.readers.append(load.Reader(self.ledger, self.records, load.ELASTIC, load.ELASTIC, shard["ShardId"]))
            was = self.closed.setdefault(shard["ShardId"], shard) if "EndingSequenceNumber" in shard["SequenceNumberRange"] else None
            if was not in (None, shard) or (was is None and shard["ShardId"] in self.closed):
                self.problems.add("state", f"a closed shard was {self.closed[shard['ShardId']]} and is {shard}")
        if gone := known - {shard["ShardId"] for shard in shards}:
            self.problems.add("state", f"shards of {load.ELASTIC} are gone: {sorted(gone)[:5]}")
        ranges = sorted(
            (int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"]))
            for shard in shards
            if shard["ShardId"] not in self.closed
        )
        if [first for first, _ in ranges] != [0] + [last + 1 for _, last in ranges[:-1]] or ranges[-1][1] != 2**128 - 1:
            self.problems.add("state", f"the open shards of {load.ELASTIC} do not share all keys: {ranges}")

    # ---- kills

    def kill(self, kind):
        if not self.daemon.alive():
            self.problems.add("died", f"the daemon ended by itself: {self.daemon.log_tail()}")
        self.daemon.kill()
        self.kills[kind] += 1

    def aim(self, kind):
        """Waits for the moment; the kind of kill it has become."""
        rng, data = self.rng, self.daemon.data
        if kind == "roll":
            came = watch.wait_for(data / "log", watch.CREATED | watch.RENAMED_TO, AIM_SECONDS)
        elif kind == "delivery":
            event = rng.choice([watch.CREATED, watch.RENAMED_FROM])
            came = watch.wait_for(data / "tmp", event, AIM_SECONDS)
        elif kind == "state":
            came = watch.wait_for(data / "state", watch.CREATED | watch.RENAMED_TO, AIM_SECONDS)
        else:
            return kind
        if came is not None and rng.random() < 0.6:
            time.sleep(rng.random() * 0.004)
        return kind if came is not None else kind + "-missed"

    def spring(self, kind):
        """Kills at a reply, from the thread that reads it; or after a while without one."""
        count = self.rng.randrange(1, 60) if kind == "reply" else self.rng.randrange(1, 6)
        trap = self.gate.trap
        what = "put" if kind == "reply" else kind
        trap.arm(what, count if kind != "reshard" else 1, self.daemon.process.kill)
        sprung = trap.sprung.wait(AIM_SECONDS)
        trap.arm(None, 0, None)
        self.daemon.kill()
        self.kills[kind if sprung else kind + "-missed"] += 1

    def end_once(self, kind):
        """One end of the daemon, by the kind that was drawn. Workers have parked when it returns. Gives what is to be done
        when it serves again."""
        rng = self.rng
        time.sleep(0.02 + rng.random() * self.options.load_seconds)
        if kind == "none":
            self.gate.close()
            self.kills[kind] += 1
            return None
        if kind in ("stop", "stopping"):
            self.daemon.terminate()
            if kind == "stopping":
                time.sleep(rng.random() * 0.03)
                if self.daemon.alive():
                    self.kill(kind)
                    self.gate.close()
                    return None
            self.gate.close()
            code = self.daemon.wait()
            self.kills["stop"] += 1
            if code not in (0, 3):
                self.problems.add("died", f"a stop ended with {code}: {self.daemon.log_tail()}")
            return None
        if kind == "restore":
            was = self.snapshots.kill_in_restore()
            return lambda: self.snapshots.go_back(*was)
        then = None
        if kind == "snapshot":
            was = self.snapshots.kill_in_snapshot()
            then = lambda: self.snapshots.look_at(*was)
        elif kind in ("reply", "change", "reshard"):
            self.spring(kind)
        else:
            self.kill(self.aim(kind))
        self.gate.close()
        for _ in range(rng.randrange(1, 4) if kind == "recovery" else 0):
            # Half of them for certain before it is ready; the others wherever 50 ms reach.
            longest = 0.05 if rng.random() < 0.5 else min(0.05, sorted(self.ready_ms)[len(self.ready_ms) // 2] / 1e3)
            self.daemon.launch()
            time.sleep(rng.random() * longest)
            if not self.daemon.alive():
                raise NotReady(f"exit {self.daemon.wait()} after a crash\n{self.daemon.log_tail()}")
            self.daemon.kill()
            self.kills["in-recovery"] += 1
        return then

    # ---- looking

    def look(self, address, full=False):
        """The daemon serves, nothing else is under way."""
        client = wire.Client(address)
        for stream, was in self.shapes.items():
            try:
                now = self.shape(client, stream)
            except wire.Refused as refused:
                now = refused.code
            if now != was:
                self.problems.add("state", f"stream {stream} was {was} and is {now}")
        self.look_at_shards(client)
        for reader in self.readers:
            reader.catch_up(client)
        if self.problems:
            return  # what is wrong already would only be told again
        self.use_bookmarks(client)
        for reader in self.readers if full else [self.rng.choice(self.readers)]:
            self.reread(client, reader, full)
        self.objects.look()
        self.changer.look(client)
        client.close()

    def use_bookmarks(self, client):
        bookmarks = [mark for thread in self.reader_threads for mark in thread.bookmarks]
        fresh = [mark for mark in bookmarks if time.monotonic() - mark.at < load.ITERATOR_SECONDS_MAX]
        for mark in self.rng.sample(fresh, min(3, len(fresh))):
            self.reread_records += mark.reader.reread(client, mark.begin, mark.iterator, pages_max=3)
            self.iterators_kept += 1

    def reread(self, client, reader, full):
        length = self.ledger.length(reader.key, reader.shard)
        if full or length < 2000:
            begin, iterator = 0, wire.horizon(client, reader.stream, reader.shard)
        else:
            begin = self.rng.randrange(length)
            iterator = reader.after(client, begin, "AT_SEQUENCE_NUMBER")
        self.reread_records += reader.reread(client, begin, iterator, None if full else 3)

    def finish(self, address):
        """All is delivered, stopped, started once more and read again from the first record."""
        self.gate.end()
        client = wire.Client(address)
        objects_before = len(self.objects.known)
        try:
            client.page("POST", "/_millrace/flush?deadline=50s")
        except wire.Refused as refused:
            self.problems.add("undelivered", f"flush: {refused}")
        client.close()
        self.look(address)
        self.ledger.all_delivered({stream for stream, (_, delivery) in STREAMS.items() if delivery})
        left = [path.name for path in (self.daemon.data / "tmp").glob("*")] if len(self.objects.known) > objects_before else []
        if left:
            self.problems.add("leftover", f"in data/tmp after everything was flushed: {left[:5]}")
        self.ledger.add_up()
        self.daemon.terminate()
        if (code := self.daemon.wait()) != 0:
            self.problems.add("died", f"the last stop ended with {code}: {self.daemon.log_tail()}")
        if self.options.mode == "durable":
            self.look(self.start(), full=True)
            self.daemon.terminate()
            self.daemon.wait()
        if SANITIZER.search(self.daemon.log()):
            self.problems.add("sanitizer", self.daemon.log_tail())

    def go(self):
        begun = time.monotonic()
        address = self.prepare()
        kinds = self.draw_kinds()
        while self.killed() < self.options.kills and time.monotonic() - begun < self.options.seconds_max and not self.problems:
            self.gate.open(address)
            kind = next(kinds)
            then = self.end_once(kind)
            address = address if kind == "none" else self.start()
            if then:
                then()
                address = self.daemon.address
            self.look(address)
            if self.options.verbose:
                print(f"{time.monotonic() - begun:7.1f} s  {kind:9s} {self.summary()}", flush=True)
        if self.killed() < self.options.kills_min and not self.problems:
            self.problems.add("slow", f"{self.killed()} kills in {self.options.seconds_max} s, fewer than {self.options.kills_min}")
        if not self.problems:
            self.finish(address)

    def draw_kinds(self):
        """Each kind once, then as often as its weight says, and so on: a short run has them all too."""
        once = [kind for kind in KINDS if kind in self.options.kinds]
        hand = list(once)
        while True:
            self.rng.shuffle(hand)
            yield from hand
            hand = [kind for kind in once for _ in range(KINDS[kind])]

    def killed(self):
        """Kills of a loaded daemon."""
        return sum(self.kills.values()) - self.kills["stop"] - self.kills["in-recovery"]

    def summary(self):
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kills.items()))
        errors = "".join(f", {count} times {code}" for code, count in sorted(self.counts.items()))
        return (
            f"{sum(self.kills.values()) - self.kills['stop']} kills ({kinds}), {self.ledger.acknowledged} records acknowledged, {self.ledger.verified} verified, "
            f"{self.ledger.forgotten} deleted unread, {self.reread_records} read again, {self.iterators_kept} old iterators used, {self.changer.changes} changes of state, "
            f"{len(self.objects.known)} objects with {self.ledger.delivered_records} records{errors}"
        )


def parsed(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of a loaded daemon; those while it recovers come on top")
    parser.add_argument("--kills-min", type=int, help="fewer by the end of the time fail; half of --kills unless said")
    parser.add_argument("--seed", type=int, help="decides sizes, kinds and moments; random unless said")
    parser.add_argument("--mode", choices=["durable", "memory"], default="durable", help="memory must be found to lose")
    parser.add_argument("--sync", choices=["always", "os"], default="always")
    parser.add_argument("--seconds-max", type=float, default=600)
    parser.add_argument("--load-seconds", type=float, default=0.8, help="at most so long between a start and a kill")
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=[kind for kind in KINDS if kind != "none"],
                        help="of: " + ",".join(KINDS))
    parser.add_argument("--rate", type=float, default=4, help="MiB of records a second, of those producers that keep a pace: every other one")
    parser.add_argument("--producers", type=int, default=4)
    parser.add_argument("--file-size", default="1MiB")
    parser.add_argument("--memory-limit", default="32MiB")
    parser.add_argument("--binary", default=BINARY)
    parser.add_argument("--directory", type=pathlib.Path, help="where the run's own directory is made")
    parser.add_argument("--keep", action="store_true", help="the directory, also when all is well")
    parser.add_argument("--verbose", action="store_true", help="a line for each end")
    options = parser.parse_args(arguments)
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"unknown kinds: {', '.join(sorted(unknown))}")
    options.seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    options.kills_min = options.kills // 2 if options.kills_min is None else options.kills_min
    return options


def main(arguments=None):
    options = parsed(arguments)
    sys.setswitchinterval(0.0005)  # a kill that is aimed must not wait for a busy producer
    directory = pathlib.Path(tempfile.mkdtemp(prefix="millrace-crash-", dir=options.directory))
    again = f"--seed {options.seed} --kills {options.kills} --mode {options.mode} --sync {options.sync}"
    print(f"crash: {again}, in {directory}", flush=True)
    run = Run(options, directory)
    try:
        run.go()
    except (NotReady, wire.Gone, wire.Hangs, wire.Refused) as error:
        run.problems.add("died" if isinstance(error, (NotReady, wire.Gone)) else "error", f"{type(error).__name__}: {error}")
    finally:
        run.daemon.kill()
    if not hasattr(run, "changer"):
        print(f"crash: the daemon does not start:\n{run.daemon.log_tail()}")
        return 2
    print("crash: " + run.summary(), flush=True)
    if not run.problems:
        if not options.keep:
            shutil.rmtree(directory)
        return 0
    report = "\n".join(run.problems.told)
    (directory / "problems").write_text(report + "\n")
    print(report)
    print(f"crash: FAILED: {dict(run.problems.counts)}; kept: {directory}; again (the moments will differ a little): crash.py {again}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
