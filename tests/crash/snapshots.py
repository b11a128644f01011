"""Snapshots under load, and going back to one: both killed at some moment, then looked at."""

import json
import subprocess
import threading
import time

import wire

KNOWN_MAX = 5000  # numbers a shard that are looked for in a snapshot
RESTORE_SECONDS_MAX = 0.4  # of a restore: a kill comes before
GONE_BACK_MAX = 20


class Call(threading.Thread):
    """One request to the operator's pages while something else goes on: `reply` is None when none came."""

    def __init__(self, address, method, path):
        super().__init__(daemon=True)
        self.address, self.method, self.path = address, method, path
        self.reply = None
        self.refused = None
        self.start()

    def run(self):
        client = wire.Client(self.address)
        try:
            self.reply = json.loads(client.page(self.method, self.path))
        except wire.Gone:
            pass
        except wire.Refused as refused:
            self.refused = refused
        client.close()


class Snapshots:
    def __init__(self, run):
        self.run = run
        self.made = 0

    def name(self):
        self.made += 1
        return f"s{self.made}"

    @property
    def problems(self):
        return self.run.problems

    def page(self, method, path=""):
        client = wire.Client(self.run.daemon.address)
        try:
            return json.loads(client.page(method, "/_millrace/snapshots" + path))
        finally:
            client.close()

    # ---- a snapshot while all goes on

    def kill_in_snapshot(self):
        """The daemon dies while it makes one, or just after. Gives what look_at() needs."""
        name = self.name()
        known = self.known()
        call = Call(self.run.daemon.address, "POST", f"/_millrace/snapshots?name={name}")
        time.sleep(self.run.rng.random() * 0.06)
        self.run.kill("snapshot")
        call.join(wire.PATIENCE)
        if call.refused:
            self.problems.add("snapshot", f"{name} was refused: {call.refused}")
        return name, known, call.reply is not None

    def known(self):
        """Of each shard, numbers that were acknowledged or read by now."""
        ledger = self.run.ledger
        with ledger.lock:
            return {
                key: set(shard.numbers[-KNOWN_MAX:]) | set(shard.waiting)
                for key, shard in ledger.shards.items()
                if key[0] in self.run.shapes
            }

    def look_at(self, name, known, told):
        """The daemon serves again."""
        names = [snapshot["name"] for snapshot in self.page("GET")["snapshots"]]
        if told and name not in names:
            self.problems.add("snapshot", f"{name} was made, and is not there after a kill")
        if name not in names:
            return
        directory = self.run.daemon.data / "snapshots" / name
        self.log("verify", directory)
        held = {}
        for line in self.log("export", directory).splitlines():
            record = json.loads(line)
            held.setdefault((record["stream"], record["shardId"]), set()).add(int(record["sequenceNumber"]))
        for key, numbers in known.items():
            if missing := numbers - held.get(key, set()):
                self.problems.add("snapshot", f"{name} lacks {len(missing)} records of {key} that were acknowledged before, as {min(missing)}")
        self.page("DELETE", "/" + name)

    def log(self, command, directory):
        key = self.run.daemon.directory / "data" / "local-key"  # which no snapshot has in it
        keys = ["--keys", str(key)] if key.exists() else []
        ran = subprocess.run([self.run.options.binary, "log", command, "--data-dir", str(directory), *keys], capture_output=True, text=True, timeout=wire.PATIENCE)
        if ran.returncode:
            self.problems.add("snapshot", f"log {command} of {directory} ends with {ran.returncode}: {ran.stdout[-500:]} {ran.stderr[-500:]}")
        return ran.stdout if command == "export" else ""

    # ---- a restore

    def kill_in_restore(self):
        """All is delivered and kept in a snapshot, the load goes on, and the daemon is killed while it goes back to it."""
        run = self.run
        run.gate.close()
        client = wire.Client(run.daemon.address)
        client.page("POST", "/_millrace/flush?deadline=50s")  # what is not delivered then would be twice, later
        client.close()
        name = self.name()
        self.page("POST", "?name=" + name)
        run.gate.open(run.daemon.address)
        time.sleep(run.rng.random() * run.options.load_seconds)
        run.gate.no_more_connections = True
        call = Call(run.daemon.address, "POST", f"/_millrace/snapshots/{name}/restore")
        time.sleep(run.rng.random() * RESTORE_SECONDS_MAX)
        run.kill("restore")
        run.gate.close()
        call.join(wire.PATIENCE)
        if call.refused:
            self.problems.add("snapshot", f"{name} was not restored: {call.refused}")
        return name, call.reply is not None

    def go_back(self, name, told):
        """The daemon serves again: where it is a restored one, what it replaced takes its place, kill or no kill."""
        run = self.run
        last = self.page("GET")["last_restore"]
        restored = last is not None and last["snapshot"] == name
        if told and not restored:
            self.problems.add("snapshot", f"{name} was to be restored, and was not after a kill")
        if not restored:
            return self.clear()
        kept_as = last["kept_as"]
        for _ in range(GONE_BACK_MAX):
            self.page("POST", f"/{kept_as}/restore")
            if run.rng.random() < 0.5:
                time.sleep(run.rng.random() * RESTORE_SECONDS_MAX)
                run.kill("restore")
                run.start()
            else:
                run.daemon.wait_until_ready()
            last = self.page("GET")["last_restore"]
            if last["snapshot"] == kept_as:
                if last.get("because"):
                    self.problems.add("snapshot", f"{kept_as} was restored because {last['because']}")
                return self.clear()
            self.problems.add("snapshot", f"{kept_as} was to be restored, and was not after a kill")
        return None

    def clear(self):
        for snapshot in self.page("GET")["snapshots"]:
            self.page("DELETE", "/" + snapshot["name"])
