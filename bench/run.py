#!/usr/bin/env python3
"""Puts one set of loads on millrace and on its floor, side by side, and prints medians and ratios. See README.md."""
import argparse
import json
import multiprocessing
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import fanout
import peers
import scale
import servers
import wire

HERE = pathlib.Path(__file__).resolve().parent
FILL_BYTES = 3 << 30          # how much fresh memory a batch cell writes before its memory is used again
EVENT_BYTES = 300


# ---- load by wrk

def write_load(path, headers, bodies):
    file = tempfile.NamedTemporaryFile(suffix=".load", prefix="millrace-bench-", delete=False)
    with file:
        head = ["POST %s" % path, *("%s: %s" % item for item in headers.items()), "", ""]
        file.write("\n".join(head).encode())
        for body in bodies:
            body = body.encode() if isinstance(body, str) else body
            file.write(b"%d\n%s\n" % (len(body), body))
    return file.name


def wrk(server, port, path, headers, bodies, connections, seconds, scheme="http"):
    """One stint of load. The generator has one thread: it shares the machine with the server."""
    load = write_load(path, headers, bodies)
    try:
        cpu = server.cpu_seconds()
        done = subprocess.run(
            ["wrk", "-t1", "-c%d" % connections, "-d%ds" % seconds, "--timeout", "10s", "-s", HERE / "load.lua",
             "%s://127.0.0.1:%d" % (scheme, port)],
            env=dict(os.environ, MILLRACE_LOAD=load), capture_output=True, text=True, timeout=seconds + 60)
        cpu = server.cpu_seconds() - cpu
    finally:
        os.unlink(load)
    lines = [line for line in done.stdout.splitlines() if line.startswith("result ")]
    if not lines:
        raise SystemExit("wrk gave no result: %s%s" % (done.stdout, done.stderr))
    result = json.loads(lines[0][len("result "):])
    result["cpu"] = cpu
    return result


def put_load(server, operation, bodies, connections, seconds, scheme="http"):
    """JSON, or CBOR when the bodies are bytes."""
    headers = dict(wire.HEADERS, **{"X-Amz-Target": wire.target_header(operation)})
    if isinstance(bodies[0], bytes):
        headers["Content-Type"] = wire.CBOR
    return wrk(server, server.port, "/", headers, bodies, connections, seconds, scheme)


def h2load(server, headers, body, connections, streams, seconds):
    """One stint of one request over and over: HTTP/2 with so many streams a connection, HTTP/1.1 without any."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(body)
        file.flush()
        how = ["-m%d" % streams] if streams else ["--h1"]
        fields = [part for item in headers.items() for part in ("-H", "%s: %s" % item)]
        cpu = server.cpu_seconds()
        done = subprocess.run(
            ["h2load", "-c%d" % connections, *how, "-D%d" % seconds, "-d", file.name, *fields,
             "http://127.0.0.1:%d/" % server.port],
            capture_output=True, text=True, timeout=seconds + 60)
        cpu = server.cpu_seconds() - cpu
    count = re.search(r"(\d+) done, (\d+) succeeded", done.stdout)
    took = re.search(r"finished in ([0-9.]+)(m?s)", done.stdout)
    good = re.search(r"status codes: (\d+) 2xx", done.stdout)
    if not (count and took and good):
        raise SystemExit("h2load gave no result: %s%s" % (done.stdout, done.stderr))
    return {"requests/s": int(good[1]) / float(took[1]) / (0.001 if took[2] == "ms" else 1),
            "cpu_us/request": cpu * 1e6 / max(int(count[1]), 1),
            "errors": int(count[1]) - int(good[1])}


def rates(stints, units=1, unit="requests"):
    """What several stints of one load come to."""
    requests = sum(stint["requests"] for stint in stints)
    return {
        unit + "/s": requests * units / sum(stint["seconds"] for stint in stints),
        "cpu_us/request": sum(stint["cpu"] for stint in stints) * 1e6 / max(requests, 1),
        "p50_us": statistics.median(stint["p50_us"] for stint in stints),
        "p99_us": statistics.median(stint["p99_us"] for stint in stints),
        "errors": sum(stint["bad_status"] + stint["broken"] for stint in stints),
    }


# ---- cells: each takes a server that has just been started, and yields (name, figures)

def put_cells(server, options):
    with wire.Client(server.port) as client:
        for size, label in ((100, "100 B"), (1024, "1 KiB")):
            for connections in (1, 16, 64):
                stream = "put-%d-%d" % (size, connections)
                client.create(stream)
                bodies = [wire.put_record_body(stream, size) for _ in range(2000)]
                put_load(server, "PutRecord", bodies, connections, 1)  # warms up
                stint = put_load(server, "PutRecord", bodies, connections, options.seconds)
                client.call("DeleteStream", StreamName=stream)
                yield "PutRecord %s, %d conn" % (label, connections), rates([stint])


def http2_cells(server, options):
    headers = dict(wire.HEADERS, **{"X-Amz-Target": wire.target_header("PutRecord")})
    with wire.Client(server.port) as client:
        client.create("http2")
        body = wire.put_record_body("http2", 100)
        rate = 0
        for connections, streams, label in ((64, 0, "HTTP/1.1, 64 conn"), (1, 64, "HTTP/2, 1 conn of 64 streams")):
            h2load(server, headers, body, connections, streams, 1)  # warms up
            figures = h2load(server, headers, body, connections, streams, options.seconds)
            if rate:
                figures["of HTTP/1.1's requests/s"] = figures["requests/s"] / rate
            rate = figures["requests/s"]
            yield "PutRecord 100 B, " + label, figures


def tls_cells(server, options):
    """Plain and TLS take turns of a second, so that both see the same machine."""
    with wire.Client(server.port) as client:
        for size, label in ((100, "100 B"), (1024, "1 KiB")):
            stream = "tls-%d" % size
            client.create(stream)
            bodies = [wire.put_record_body(stream, size) for _ in range(2000)]
            stints = {"http": [], "https": []}
            for turn in range(options.seconds + 1):
                for scheme, some in stints.items():
                    some.append(put_load(server, "PutRecord", bodies, 64, 1, scheme))
            plain, tls = (rates(some[1:]) for some in stints.values())  # the first one warms up
            client.call("DeleteStream", StreamName=stream)
            yield "PutRecord %s, 64 conn, plain" % label, plain
            tls["of plain's cpu_us/request"] = tls["cpu_us/request"] / plain["cpu_us/request"]
            yield "PutRecord %s, 64 conn, TLS" % label, tls


def batch_cells(size, label):
    def cells(server, options):
        with wire.Client(server.port) as client:
            def stint(stream, seconds):
                bodies = [wire.put_records_body(stream, size, 500) for _ in range(16)]
                return put_load(server, "PutRecords", bodies, 8, seconds)

            # Fresh: every byte goes to memory that the process has not had before.
            client.create("fresh")
            fresh, stored = [], 0
            while stored < FILL_BYTES and len(fresh) < 2 * options.seconds:
                fresh.append(stint("fresh", 1))
                stored += fresh[-1]["requests"] * 500 * (size + 64)
            client.call("DeleteStream", StreamName="fresh")
            yield "PutRecords 500 x %s, fresh" % label, rates(fresh, 500, "records")

            # Reused: short stints, each into what the stream before it has left.
            reused = []
            for i in range(options.seconds):
                stream = "reused-%d" % i
                client.create(stream)
                reused.append(stint(stream, 1))
                client.call("DeleteStream", StreamName=stream)
            yield "PutRecords 500 x %s, reused" % label, rates(reused, 500, "records")
    return cells


def cbor_cells(server, options):
    """Both wires in turn, each stint into a new stream."""
    for size, label in ((100, "100 B"), (1024, "1 KiB")):
        wires = {"JSON": [wire.put_records_body("wires", size, 500) for _ in range(16)],
                 "CBOR": [wire.put_records_cbor("wires", size, 500) for _ in range(16)]}
        stints = {name: [] for name in wires}
        with wire.Client(server.port) as client:
            for turn in range(1 + options.seconds):
                for name, bodies in wires.items():
                    client.create("wires")
                    stint = put_load(server, "PutRecords", bodies, 8, 1)
                    client.call("DeleteStream", StreamName="wires")
                    if turn > 0:  # the first warms up
                        stints[name].append(stint)
        rate = 0
        for name, some in stints.items():
            figures = rates(some, 500, "records")
            if rate:
                figures["of JSON's records/s"] = figures["records/s"] / rate
            rate = figures["records/s"]
            yield "PutRecords 500 x %s, %s" % (label, name), figures


def read_one(port, stream, shards, ready, go, results):
    with wire.Client(port) as client:
        client.read_shard(stream, shards[0])  # so that the reader's memory is there
        ready.release()
        go.wait(60)
        results.put(sum(client.read_shard(stream, shard)[0] for shard in shards))


def get_cells(server, options):
    records, size = 100_000, 1024
    with wire.Client(server.port) as client:
        shards = client.create("read")
        client.fill("read", records, size)
        counts = [client.read_shard("read", shard, count=True) for shard in shards]
        if sum(count for _, count in counts) != records:
            raise SystemExit("%s: %d of %d records came back" % (server.name, sum(c for _, c in counts), records))
        expected = sum(total for total, _ in counts)
    for readers in (1, len(shards)):
        spent, cpu = [], []
        for _ in range(max(2, options.seconds)):
            ready, go, results = multiprocessing.Semaphore(0), multiprocessing.Event(), multiprocessing.Queue()
            mine = [shards] if readers == 1 else [[shard] for shard in shards]
            processes = [multiprocessing.Process(target=read_one, args=(server.port, "read", some, ready, go, results))
                         for some in mine]
            for process in processes:
                process.start()
            for _ in processes:
                ready.acquire()
            before, begun = server.cpu_seconds(), time.monotonic()
            go.set()
            total = sum(results.get(timeout=60) for _ in processes)
            spent.append(time.monotonic() - begun)
            cpu.append(server.cpu_seconds() - before)
            for process in processes:
                process.join()
            if abs(total - expected) > expected // 50:
                raise SystemExit("%s: a pass read %d bytes, the first %d" % (server.name, total, expected))
        yield "GetRecords 100k x 1 KiB, %d reader%s" % (readers, "" if readers == 1 else "s"), {
            "MB/s": records * size / 1e6 / statistics.median(spent),
            "cpu_us/record": statistics.median(cpu) * 1e6 / records,
            "errors": 0,
        }


def put_timed(port, stream, ready, stop, results):
    """Puts record after record; when each was sent, and how long it took."""
    with wire.Client(port) as client:
        requests = [client.request("PutRecord", wire.put_record_body(stream, 100)) for _ in range(500)]
        client.exchange(requests[0])
        ready.release()
        taken = []
        while not stop.is_set():
            for request in requests:
                begun = time.monotonic()
                client.exchange(request)
                taken.append((begun, time.monotonic() - begun))
        results.put(taken)


def reshard_cells(server, options):
    """Scaling up and down under puts: how long it takes, and the longest put meanwhile beside the longest of the same
    time without it."""
    shards, putters = 1000, 2
    with wire.Client(server.port) as client:
        client.create("scaled", shards=shards, wait=30)
        ready, stop, results = multiprocessing.Semaphore(0), multiprocessing.Event(), multiprocessing.Queue()
        processes = [multiprocessing.Process(target=put_timed, args=(server.port, "scaled", ready, stop, results))
                     for _ in range(putters)]
        for process in processes:
            process.start()
        for _ in processes:
            ready.acquire()
        stretches = {}
        for target in (2 * shards, shards):
            time.sleep(1)
            begun = time.monotonic()
            client.call("UpdateShardCount", StreamName="scaled", TargetShardCount=target, ScalingType="UNIFORM_SCALING")
            stretches[target] = begun, time.monotonic()
        stop.set()
        puts = [put for _ in processes for put in results.get(timeout=60)]
        for process in processes:
            process.join()
        before = shards
        for target, (begun, end) in stretches.items():
            longest = [max((spent for at, spent in puts if at + spent > since and at < until), default=0)
                       for since, until in ((begun, end), (2 * begun - end, begun))]
            yield "%d shards to %d" % (before, target), {
                "ms": (end - begun) * 1e3, "longest put ms": longest[0] * 1e3, "longest put before ms": longest[1] * 1e3,
            }
            before = target


def event():
    fields = {"event": "click", "user_id": wire.key(), "at": 1767322800.125, "tags": ["a", "b", "c"], "note": ""}
    fields["note"] = "n" * (EVENT_BYTES - len(wire.compact(fields)))
    return wire.compact(fields)


def door_cells(path, label):
    def cells(server, options):
        bodies = [event() for _ in range(2000)]
        headers = {"Content-Type": "application/json"}
        wrk(server, server.gateway_port, path, headers, bodies, 64, 1)
        stint = wrk(server, server.gateway_port, path, headers, bodies, 64, options.seconds)
        yield "front door 300 B, 64 conn, %s" % label, rates([stint])
    return cells


def memory_cells(server, options):
    records, size, key_bytes = 1_000_000, 100, 32
    time.sleep(1)
    idle = server.resident_bytes()
    with wire.Client(server.port) as client:
        client.create("memory")
        client.fill("memory", records, size)
        time.sleep(1)
        full = server.resident_bytes()
    yield "memory", {
        "ready_ms": server.ready_ms,
        "idle_MiB": idle / 2**20,
        "bytes over key and data a record": (full - idle) / records - size - key_bytes,
        "errors": 0,
    }


# ---- rounds and report

class Group:
    """Cells that run one behind the other on one start of a server."""

    def __init__(self, cells, only_gateway=False, routes=None):
        self.cells, self.only_gateway, self.routes = cells, only_gateway, routes


GROUPS = {
    "put": [Group(put_cells)],
    "http2": [Group(http2_cells, True)],
    "tls": [Group(tls_cells, True)],
    "batch": [Group(batch_cells(100, "100 B")), Group(batch_cells(1024, "1 KiB"))],
    "cbor": [Group(cbor_cells, True)],
    "get": [Group(get_cells)],
    "reshard": [Group(reshard_cells, True)],
    "fanout": [Group(fanout.cells, True)],
    "door": [Group(door_cells("/PROD/v1", "default API"), True)] +
            [Group(door_cells("/BENCH/v1", "%d route%s" % (n, "s"[:n > 1])), True, n) for n in (1, 300)],
    "memory": [Group(memory_cells)],
    "idle": [Group(peers.idle_cells, True)],
}
# Groups whose cells hold two sizes of one thing against each other: they run once and take their turns themselves.
TWINS = {"scale-" + name: cells for name, cells in scale.CELLS.items()}
RATIOS = (("millrace", "floor"), ("millrace", "sockets"), ("large", "small"))


def chosen(parser, names):
    """Of GROUPS and TWINS, by name (`scale` is all that begin with it): all without a name."""
    every = [*GROUPS, *TWINS]
    unknown = sorted(set(names) - set(every) - {"scale"})
    if unknown:
        parser.error("no such group: %s" % ", ".join(unknown))
    return [group for group in every if not names or group in names or group.split("-")[0] in names]


def shown(value):
    return "%.0f" % value if abs(value) >= 1000 else "%.1f" % value if abs(value) >= 1 else "%.3f" % value


class Results:
    """Of each cell and who was measured, each figure's values, one a round."""

    def __init__(self, out, ratios=RATIOS):
        self.out, self.ratios, self.cells = out, ratios, {}

    def add(self, round_number, name, cell, figures):
        by_figure = self.cells.setdefault(cell, {}).setdefault(name, {})
        for figure, value in figures.items():
            by_figure.setdefault(figure, []).append(value)
        print("round %d  %-9s %-36s %s" % (round_number, name, cell, "  ".join(
            "%s=%s" % (figure, shown(value)) for figure, value in figures.items())), file=sys.stderr, flush=True)
        if self.out:
            with open(self.out, "a") as out:
                out.write(json.dumps({"round": round_number, "server": name, "cell": cell, **figures}) + "\n")

    def report(self):
        for cell, by_server in self.cells.items():
            print("\n" + cell)
            medians = {name: {figure: statistics.median(values) for figure, values in by_figure.items()}
                       for name, by_figure in by_server.items()}
            figures = list(dict.fromkeys(figure for some in medians.values() for figure in some))
            for figure in figures:
                if figure == "errors" and not any(some.get(figure) for some in medians.values()):
                    continue
                parts = ["%s %s" % (name, shown(some[figure])) for name, some in medians.items() if figure in some]
                for ours, beside in self.ratios:
                    values = [medians.get(name, {}).get(figure) for name in (ours, beside)]
                    if values[0] is not None and values[1]:
                        label = "ratio" if self.ratios is RATIOS else "%s/%s" % (ours, beside)
                        parts.append("%s %.2f" % (label, values[0] / values[1]))
                print("  %-42s %s" % (figure, "   ".join(parts)))


def end(*_):
    """Servers end and their directories go; that is asked for once."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", default=[],
                        help="of: %s (all unless said); scale: all of these" % ", ".join([*GROUPS, *TWINS]))
    parser.add_argument("--build", type=pathlib.Path, default=servers.ROOT / "build" / "release")
    parser.add_argument("--servers", default="millrace,floor")
    parser.add_argument("--rounds", type=int, default=5, choices=range(1, 21), metavar="1..20")
    parser.add_argument("--seconds", type=int, default=3, choices=range(1, 31), metavar="1..30", help="a load lasts")
    parser.add_argument("--memory-limit", default="8GiB", help="millrace's storage.memory_limit")
    parser.add_argument("--out", type=pathlib.Path, help="add each figure of each round to this file, a JSON line a cell")
    options = parser.parse_args()
    groups = chosen(parser, options.groups)
    names = options.servers.split(",")
    options.build = options.build.resolve()
    signal.signal(signal.SIGTERM, end)

    results = Results(options.out)
    for round_number in range(options.rounds):
        for group in (group for name in groups for group in GROUPS.get(name, [])):
            # The order turns with each round, so that neither server always has the warmer machine.
            for name in names[round_number % len(names):] + names[:round_number % len(names)]:
                server = (servers.Floor(options.build) if name == "floor"
                          else servers.Millrace(options.build, options.memory_limit, group.routes))
                if group.only_gateway and not server.has_gateway:
                    continue
                with server:
                    for cell, figures in group.cells(server, options):
                        # A cell may say who it was that was measured.
                        who, figures = figures if isinstance(figures, tuple) else (name, figures)
                        results.add(round_number + 1, who, cell, figures)
    for cells in (TWINS[name] for name in groups if name in TWINS):
        for cell, by_size in cells(options):
            for size, figures in by_size.items():
                results.add(1, size, cell, figures)
    results.report()


if __name__ == "__main__":
    main()
