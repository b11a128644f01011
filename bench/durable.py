#!/usr/bin/env python3
"""What keeping records on disk costs: durable mode beside memory mode, the disk alone, and dd. See README.md."""
import argparse
import base64
import json
import multiprocessing
import os
import pathlib
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import run
import servers
import wire

MODES = ("memory", "os", "always")
SEALED_MODES = ("os", "os sealed", "always", "always sealed")
RECORD_BYTES = 1024
KEY_BYTES = 32
SUSTAINED_LIMITS = 3          # times storage.memory_limit that are put in one go
BOUND_LIMITS = 10             # the same, of the group bound
BOUND_SECONDS = 45            # that it takes at least
BOUND_MIB, SLOW_READERS, SLOW_BYTES, SLOW_SECONDS = 256, 100, 64 << 10, 0.1
COLD_MIB, COLD_LIMIT_MIB = 2048, 256
SECONDS_MAX = 180             # of one cell, whatever it has not done by then


# ---- where the data lies

class Place:
    """A directory on a disk; the figures of one in memory would say nothing."""

    def __init__(self, directory):
        self.directory = directory
        device = os.stat(directory).st_dev
        self.number = "%d:%d" % (os.major(device), os.minor(device))
        best = ""
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            before, after = line.split(" - ")
            at = before.split()[4].encode().decode("unicode_escape")
            if (str(directory) + "/").startswith(at.rstrip("/") + "/") and len(at) >= len(best):
                best, self.options = at, before.split()[5]
                self.kind, self.source = after.split()[:2]
        if self.kind in ("tmpfs", "ramfs", "devtmpfs"):
            raise SystemExit("%s is on %s, which is memory: name a directory on a disk by --directory" % (directory, self.kind))

    def described(self):
        said = "%s on %s (%s, %s)" % (self.kind, self.source, self.number, self.options)
        queue = pathlib.Path("/sys/dev/block/%s/queue" % self.number)
        if not queue.exists():  # a partition: its disk has the queue
            queue = pathlib.Path("/sys/dev/block/%s/../queue" % self.number)
        for name in ("rotational", "scheduler", "write_cache"):
            try:
                said += ", %s %s" % (name, (queue / name).read_text().strip())
            except OSError:
                said += ", %s unknown" % name
        return said

    def need(self, size):
        free = shutil.disk_usage(self.directory).free
        if free < size + (5 << 30):
            raise SystemExit("%.1f GiB are needed in %s, and 5 to spare; %.1f are free"
                             % (size / 2**30, self.directory, free / 2**30))


def drop_caches():
    """Whether it could be done: only root may."""
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
        return True
    except OSError:
        return False


def must_drop_caches():
    if not drop_caches():
        raise SystemExit("the page cache cannot be dropped (/proc/sys/vm/drop_caches, as root): cold reads would be warm")


class UsedMemory:
    """A machine that has been up for long has no memory that was never used, and what is free is not much: files lie in
    the rest. A fresh virtual machine gets each page from its host when it is first touched, which takes many times as
    long as what is measured here, and gives it back when it is free again."""

    def __init__(self, directory):
        self.path = directory / ("millrace-bench-hole-%d" % os.getpid())

    def __enter__(self):
        available = next(int(line.split()[1]) << 10 for line in open("/proc/meminfo") if line.startswith("MemAvailable"))
        with open(self.path, "wb") as hole:  # nothing of it is on the disk
            hole.truncate(max(available - (2 << 30), 0))
        return self

    def __exit__(self, *_):
        self.path.unlink(missing_ok=True)

    def use(self):
        with open(self.path, "rb") as hole:  # what is there already costs next to nothing
            for offset in range(0, self.path.stat().st_size, 128 << 10):
                os.posix_fadvise(hole.fileno(), offset, 128 << 10, os.POSIX_FADV_WILLNEED)


# ---- the daemon

class Daemon(servers.Millrace):
    """In one of the modes, with nothing declared; can be stopped and started again in its directory. `sealed` behind a
    durable one: by storage.encryption."""

    def __init__(self, options, mode, memory_limit):
        super().__init__(options.build, memory_limit)
        self.name, self.mode, self.place = mode, mode, options.directory

    def command(self):
        sync, _, sealed = self.mode.partition(" ")
        storage = "mode: memory" if sync == "memory" else "mode: durable, sync: %s" % sync
        if sealed:
            keys = self.directory / "keys"
            if not keys.exists():
                keys.touch(0o600)
                keys.write_text("1 %s\n" % base64.b64encode(os.urandom(32)).decode())
            storage += ", encryption: all, encryption_keys: keys"
        config = self.directory / "millrace.yaml"
        config.write_text("storage: {%s}\nshutdown: {deadline: 60s}\n" % storage)
        command, environment = super().command()
        return [*command[:-1], config], environment

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def log_files(self):
        return sorted((self.directory / "data" / "log").glob("journal-*"))

    def peak_bytes(self):
        for line in pathlib.Path("/proc/%d/status" % self.process.pid).read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0

    def stored_records(self, client):
        return sum(int(float(line.rsplit(" ", 1)[1])) for line in client.page("GET", "/_millrace/metrics").splitlines()
                   if line.startswith("millrace_shard_records_total{"))


def stint_of_batches(server, client, stream, connections, seconds):
    """One load of PutRecords; with it the records that were stored, since a reply may refuse some."""
    before = server.stored_records(client)
    bodies = [wire.put_records_body(stream, RECORD_BYTES, 500) for _ in range(16)]
    stint = run.put_load(server, "PutRecords", bodies, connections, seconds)
    stint["stored"] = server.stored_records(client) - before
    return stint


def batch_rates(stints):
    """What was answered and not stored counts as errors."""
    figures = run.rates(stints, 500, "records")
    stored = sum(stint["stored"] for stint in stints)
    figures["errors"] += max(0, sum(stint["requests"] for stint in stints) * 500 - stored)
    figures["records/s"] = stored / sum(stint["seconds"] for stint in stints)
    figures["MB/s of keys and data"] = figures["records/s"] * (RECORD_BYTES + KEY_BYTES) / 1e6
    return figures


# ---- groups: each yields (round, who, cell, figures)

def take_turns(round_number, modes=None):
    """The modes, another one first in each round, so that none always has the warmer machine."""
    modes = modes or MODES
    return modes[round_number % len(modes):] + modes[:round_number % len(modes)]


def floor_cells(options):
    """The disk alone, by a program that does nothing else."""
    options.used_memory.use()
    done = subprocess.run([options.build / "bench_commits", options.directory, str(options.seconds)], capture_output=True,
                          text=True, timeout=SECONDS_MAX, check=True)
    for case in map(json.loads, done.stdout.splitlines()):
        name = "commits of %d x %d B, %s" % (case["records"], case["record_bytes"], "synced" if case["sync"]
                                                else "written to new files" if case["new"] else "written only")
        yield name, {figure: case[figure] for figure in ("commits/s", "MB/s", "p50_us", "p99_us")}


def put_cells(options):
    options.place_of_data.need(20 << 30)
    for round_number in range(options.rounds):
        for cell, figures in floor_cells(options):
            yield round_number, "disk", cell, figures
        for mode in take_turns(round_number):
            with Daemon(options, mode, options.memory_limit) as server, wire.Client(server.port) as client:
                for cell, figures in put_record_cells(server, client, options):
                    yield round_number, mode, cell, figures
                for cell, figures in put_records_cells(server, client, options):
                    yield round_number, mode, cell, figures


def sealed_cells(options):
    """What storage.encryption costs: each durable mode plain and sealed."""
    options.place_of_data.need(20 << 30)
    for round_number in range(options.rounds):
        for mode in take_turns(round_number, SEALED_MODES):
            with Daemon(options, mode, options.memory_limit) as server, wire.Client(server.port) as client:
                for cell, figures in put_record_cells(server, client, options, (64,)):
                    yield round_number, mode, cell, figures
                for cell, figures in put_records_cells(server, client, options, (8,)):
                    yield round_number, mode, cell, figures


def put_record_cells(server, client, options, connection_counts=(1, 16, 64)):
    for connections in connection_counts:
        stream = "put-%d" % connections
        client.create(stream)
        options.used_memory.use()
        bodies = [wire.put_record_body(stream, RECORD_BYTES) for _ in range(2000)]
        run.put_load(server, "PutRecord", bodies, connections, 1)  # warms up
        stint = run.put_load(server, "PutRecord", bodies, connections, options.seconds)
        client.call("DeleteStream", StreamName=stream)
        yield "PutRecord 1 KiB, %d conn" % connections, run.rates([stint])


def put_records_cells(server, client, options, connection_counts=(1, 8, 16)):
    for connections in connection_counts:
        stints = []
        for turn in range(options.seconds + 1):
            stream = "batch-%d-%d" % (connections, turn)
            client.create(stream)
            options.used_memory.use()
            stints.append(stint_of_batches(server, client, stream, connections, 1))
            client.call("DeleteStream", StreamName=stream)
        yield "PutRecords 500 x 1 KiB, %d conn" % connections, batch_rates(stints[1:])  # the first one warms up


def sustained_cells(options):
    """Into one stream, without a pause, several times more than memory holds; the disk alone before and after."""
    limit = options.sustained_mib << 20
    options.place_of_data.need(8 * SUSTAINED_LIMITS * limit)
    for round_number in range(options.rounds):
        for mode in take_turns(round_number):
            for cell, figures in floor_cells(options):
                yield round_number, "disk", cell, figures
            options.used_memory.use()
            with Daemon(options, mode, "%dMiB" % options.sustained_mib) as server, wire.Client(server.port, 120) as client:
                client.create("sustained")
                stints, stored = [], 0
                begun = time.monotonic()
                while stored < SUSTAINED_LIMITS * limit and time.monotonic() - begun < SECONDS_MAX:
                    stints.append(stint_of_batches(server, client, "sustained", 16, 2))
                    stored = server.stored_records(client) * (RECORD_BYTES + KEY_BYTES)
                    if not stints[-1]["stored"]:
                        break  # full: it will not get any further
                figures = batch_rates(stints)
                figures["times memory_limit"] = stored / limit
                figures["peak resident_MiB"] = server.peak_bytes() / 2**20
                yield round_number, mode, "PutRecords 500 x 1 KiB, 16 conn, sustained", figures


# ---- cold reads

def read_all(port, stream, shards):
    """Bytes on the wire and seconds, one reader."""
    with wire.Client(port, 120) as client:
        begun = time.monotonic()
        total = sum(client.read_shard(stream, shard)[0] for shard in shards)
        return total, time.monotonic() - begun


def dd(files):
    """The files as dd reads them: MB/s."""
    total = sum(file.stat().st_size for file in files)
    begun = time.monotonic()
    for file in files:
        subprocess.run(["dd", "if=%s" % file, "of=/dev/null", "bs=1M", "status=none"], check=True, timeout=SECONDS_MAX)
    return total / 1e6 / (time.monotonic() - begun)


def cold_cells(options):
    must_drop_caches()
    options.place_of_data.need(3 * COLD_MIB << 20)
    records = (COLD_MIB << 20) // (RECORD_BYTES + KEY_BYTES)
    records -= records % 500
    data = records * RECORD_BYTES / 1e6
    with Daemon(options, "os", "%dMiB" % COLD_LIMIT_MIB) as cold, Daemon(options, "memory", options.memory_limit) as warm:
        shards = {}
        for server in (cold, warm):
            with wire.Client(server.port, 120) as client:
                shards[server] = client.create("cold")
                client.fill("cold", records, RECORD_BYTES)
        cold.stop()
        for round_number in range(options.rounds):
            must_drop_caches()
            yield round_number, "dd", "the log's files", {"MB/s": dd(cold.log_files())}
            must_drop_caches()
            cold.start()
            must_drop_caches()
            for name, server in (("cold", cold), ("memory", warm)):
                cpu = server.cpu_seconds()
                total, seconds = read_all(server.port, "cold", shards[server])
                if total < records * RECORD_BYTES * 4 / 3:
                    raise SystemExit("%s: %d bytes came back of %d records" % (name, total, records))
                yield round_number, name, "GetRecords of %d MiB, one reader" % COLD_MIB, {
                    "MB/s": data / seconds, "cpu_us/record": (server.cpu_seconds() - cpu) * 1e6 / records,
                    "peak resident_MiB": server.peak_bytes() / 2**20}
            cold.stop()


# ---- start

def start_cells(options):
    size = options.stored_gib << 30
    options.place_of_data.need(size * 3 // 2)
    records = size // (RECORD_BYTES + KEY_BYTES)
    with Daemon(options, "os", "512MiB") as server:
        with wire.Client(server.port, 120) as client:
            shards = client.create("start")
            begun = time.monotonic()
            while server.stored_records(client) < records and time.monotonic() - begun < 2 * SECONDS_MAX:
                stint_of_batches(server, client, "start", 8, 5)
            last = client.call("PutRecord", StreamName="start", Data=wire.data(100), PartitionKey="k")
        on_disk = sum(file.stat().st_size for file in server.log_files())
        for round_number in range(options.rounds):
            for how in ("stopped", "killed"):
                server.stop() if how == "stopped" else server.kill()
                cold = drop_caches()
                server.start()
                with wire.Client(server.port, 120) as client:
                    number = last["SequenceNumber"]
                    for iterator in (client.iterator("start", shards[0], "TRIM_HORIZON"),
                                     client.iterator("start", last["ShardId"], "AT_SEQUENCE_NUMBER", StartingSequenceNumber=number)):
                        records = client.call("GetRecords", ShardIterator=iterator, Limit=1)["Records"]
                        if not records:
                            raise SystemExit("the first or the last record is gone after a start")
                    if records[0]["SequenceNumber"] != number:
                        raise SystemExit("the last record has another number after a start")
                yield round_number, how, "start with %.1f GiB stored, caches %s" % (on_disk / 2**30, "dropped" if cold else "warm"), {
                    "first answer_ms": server.ready_ms, "resident_MiB": server.resident_bytes() / 2**20}


# ---- memory bound

class SlowReaders(multiprocessing.Process):
    """So many connections, each asking for the largest page and taking a little of it at a time."""

    def __init__(self, port, stream, shards, end, results):
        super().__init__(daemon=True)
        self.port, self.stream, self.shards, self.end, self.results = port, stream, shards, end, results

    def run(self):
        with wire.Client(self.port, 60) as client:
            requests = [client.request("GetRecords", wire.compact(
                {"ShardIterator": client.iterator(self.stream, shard, "TRIM_HORIZON"), "Limit": 10000})) for shard in self.shards]
        taken = pages = cut = 0
        readers = {}  # socket -> [request, bytes of the reply still to come, when it takes the next ones]
        for i in range(SLOW_READERS):
            readers[self.connect()] = [requests[i % len(requests)], None, time.monotonic() + SLOW_SECONDS * i / SLOW_READERS]
        selector = selectors.DefaultSelector()
        for connection, reader in readers.items():
            connection.sendall(reader[0])
            selector.register(connection, selectors.EVENT_READ)
        while time.monotonic() < self.end.value:
            time.sleep(0.005)
            now = time.monotonic()
            for key, _ in selector.select(0):
                connection, reader = key.fileobj, readers[key.fileobj]
                if now < reader[2]:
                    continue
                reader[2] = now + SLOW_SECONDS
                try:
                    got = connection.recv(SLOW_BYTES)
                    if reader[1] is None and got:
                        head = got.split(b"\r\n\r\n")[0]
                        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
                        reader[1] = int(fields[b"content-length"]) + len(head) + 4
                    taken += len(got)
                    reader[1] = (reader[1] or 0) - len(got)
                    if reader[1] <= 0 and got:
                        pages += 1
                        reader[1] = None
                        connection.sendall(reader[0])
                except OSError:
                    got = b""
                if not got:  # cut: it comes again
                    cut += 1
                    selector.unregister(connection)
                    connection.close()
                    del readers[connection]
                    again = self.connect()
                    readers[again] = [reader[0], None, now + SLOW_SECONDS]
                    again.sendall(reader[0])
                    selector.register(again, selectors.EVENT_READ)
        self.results.put((taken, pages, cut))

    def connect(self):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BYTES)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", self.port))
        return connection


def bound_cells(options):
    limit = BOUND_MIB << 20
    allowed = limit * 1.1 + (64 << 20)
    options.place_of_data.need(4 * BOUND_LIMITS * limit)
    for round_number in range(options.rounds):
        for mode in take_turns(round_number):
            with Daemon(options, mode, "%dMiB" % BOUND_MIB) as server, wire.Client(server.port, 120) as client:
                # Four delivery streams that cannot write for most of the time: a file is where their bucket would be.
                lake = server.directory / "data" / "s3" / "lake"
                lake.parent.mkdir(parents=True, exist_ok=True)
                lake.write_text("in the way")
                shards = client.create("bound")
                for i in range(4):
                    client.deliver("bound", "bound-%d" % i, size_mib=64, interval_s=5, prefix="%d/" % i)
                client.fill("bound", 60_000, RECORD_BYTES)  # so that each reader has a page of 10 MiB
                end, results = multiprocessing.Value("d", time.monotonic() + SECONDS_MAX), multiprocessing.Queue()
                readers = SlowReaders(server.port, "bound", shards, end, results)
                readers.start()
                stints, begun = [], time.monotonic()
                stored = 0
                while stored < BOUND_LIMITS * limit and time.monotonic() - begun < SECONDS_MAX - 20:
                    stints.append(stint_of_batches(server, client, "bound", 8, 1))
                    stored = server.stored_records(client) * (RECORD_BYTES + KEY_BYTES)
                    if not stints[-1]["stored"]:
                        break
                    # Not faster than the readers can be seen to be slow.
                    time.sleep(max(0, begun + BOUND_SECONDS * stored / limit / BOUND_LIMITS - time.monotonic()))
                    if stored > BOUND_LIMITS * limit * 2 // 3 and lake.is_file():
                        lake.unlink()  # and now they have to make up for it
                figures = batch_rates(stints)
                time.sleep(10)
                peak = server.peak_bytes()
                end.value = 0
                taken, pages, cut = results.get(timeout=60)
                readers.join()
                figures = {"records/s": figures["records/s"], "records refused": figures["errors"],
                           "times memory_limit": stored / limit, "peak resident_MiB": peak / 2**20,
                           "allowed_MiB": allowed / 2**20, "slow readers, MiB taken": taken / 2**20,
                           "slow readers, pages": pages, "slow readers, cut": cut}
                yield round_number, mode, "%d x memory_limit of %d MiB, %d slow readers" % (BOUND_LIMITS, BOUND_MIB, SLOW_READERS), figures


GROUPS = {"put": put_cells, "sealed": sealed_cells, "sustained": sustained_cells, "cold": cold_cells, "start": start_cells, "bound": bound_cells}
RATIOS = (("os", "memory"), ("always", "memory"), ("cold", "memory"), ("always", "disk"), ("os sealed", "os"),
          ("always sealed", "always"))


def goals(results):
    """What the medians come to, beside what is asked for."""
    def of(cell, who, figure):
        """Of the cell of this name, or else of one that begins so."""
        for name in sorted(results.cells, key=lambda name: name != cell):
            by_who = results.cells[name]
            if name.startswith(cell) and figure in by_who.get(who, {}):
                return statistics.median(by_who[who][figure])
            if name == cell:
                break
        return None

    def told(what, value, at_least):
        if value is not None and at_least is not None:
            print("  %-4s %-66s %8.2f of %.2f" % ("ok" if value >= at_least else "MISS", what, value, at_least))

    def ratio(above, below):
        return above / below if above is not None and below else None

    print("\ngoals")
    for connections in (1, 16, 64):
        cell = "PutRecord 1 KiB, %d conn" % connections
        told(cell + ": os / memory", ratio(of(cell, "os", "requests/s"), of(cell, "memory", "requests/s")), 0.85)
    written = of("commits of 500 x 1200 B, written to new files", "disk", "MB/s")
    for connections in (1, 8, 16):
        cell = "PutRecords 500 x 1 KiB, %d conn" % connections
        memory = of(cell, "memory", "MB/s of keys and data")
        if memory and written:
            told(cell + ": os, MB/s", of(cell, "os", "MB/s of keys and data"), min(0.6 * memory, 0.7 * written))
    synced = of("commits of 500 x 1200 B, synced", "disk", "MB/s")
    cell = "PutRecords 500 x 1 KiB, 16 conn, sustained"
    told(cell + ": always / disk", ratio(of(cell, "always", "MB/s of keys and data"), synced), 0.6)
    single = of("commits of 1 x 1200 B, synced", "disk", "commits/s")
    cell = "PutRecord 1 KiB, 64 conn"
    memory = of(cell, "memory", "requests/s")
    if memory and single:
        told(cell + ": always, requests/s", of(cell, "always", "requests/s"), min(20 * single, 0.6 * memory))
    cell, read = "GetRecords of", of("the log's files", "dd", "MB/s")
    told("GetRecords: cold / memory", ratio(of(cell, "cold", "MB/s"), of(cell, "memory", "MB/s")), 0.8)
    if read is not None:
        print("       dd of the log's files: %.0f MB/s; GetRecords cold: %.2f of it" % (read, of(cell, "cold", "MB/s") / read))
    for cell, by_who in results.cells.items():
        for who, figures in by_who.items():
            if "first answer_ms" in figures:
                worst = statistics.median(figures["first answer_ms"])
                print("  %-4s %-66s %8.0f ms of 500" % ("ok" if worst < 500 else "MISS", cell + ", " + who, worst))
            if "allowed_MiB" in figures:
                peak, allowed = max(figures["peak resident_MiB"]), figures["allowed_MiB"][0]
                well = peak <= allowed and min(figures["times memory_limit"]) >= BOUND_LIMITS and not max(figures["records refused"])
                print("  %-4s %-66s %8.1f MiB of %.1f" % ("ok" if well else "MISS", cell + ", " + who, peak, allowed))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", default=[], help="of: %s (all unless said)" % ", ".join(GROUPS))
    parser.add_argument("--directory", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()), help="where data lies, on a disk")
    parser.add_argument("--build", type=pathlib.Path, default=servers.ROOT / "build" / "release")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 21), metavar="1..20")
    parser.add_argument("--seconds", type=int, default=3, choices=range(1, 31), metavar="1..30", help="a load lasts")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--memory-limit", default="8GiB", help="storage.memory_limit of the groups put and cold (memory mode)")
    parser.add_argument("--sustained-mib", type=int, default=512, help="storage.memory_limit of the group sustained")
    parser.add_argument("--stored-gib", type=int, default=10, help="of the group start")
    parser.add_argument("--out", type=pathlib.Path, help="add each figure of each round to this file, a JSON line a cell")
    options = parser.parse_args()
    if unknown := set(options.groups) - set(GROUPS):
        parser.error("no such group: %s" % ", ".join(sorted(unknown)))
    options.build, options.directory = options.build.resolve(), options.directory.resolve()
    signal.signal(signal.SIGTERM, run.end)
    options.place_of_data = Place(options.directory)
    globals()["MODES"] = tuple(options.modes.split(","))
    print("data in %s: %s" % (options.directory, options.place_of_data.described()))
    results = run.Results(options.out, RATIOS)
    try:
        with UsedMemory(options.directory) as options.used_memory:
            for name in options.groups or GROUPS:
                for round_number, who, cell, figures in GROUPS[name](options):
                    results.add(round_number + 1, who, cell, figures)
    finally:
        results.report()
        goals(results)


if __name__ == "__main__":
    main()
