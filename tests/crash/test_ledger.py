"""The crash tester's checks must be able to fail: a fault planted in each, and none told without one."""

import pathlib
import subprocess
import sys

import pytest

from ledger import Ledger, Objects, Problems, Register
from records import RECORD_BYTES_MAX, Records

CRASH = pathlib.Path(__file__).parent / "crash.py"
FIRST = 49680 * 10**51
KEY, SHARD = "stream", "shardId-000000000000"


class World:
    """Ten records of one producer, acknowledged at ten numbers; tests change what is read of them."""

    def __init__(self, count=10):
        self.ledger = Ledger()
        self.producer = self.ledger.new_producer()
        self.ids = self.ledger.send(self.producer, KEY, count)
        self.numbers = [FIRST + i * 2**80 for i in range(count)]
        self.log = list(zip(self.numbers, self.ids))

    def acknowledge(self, which=None):
        for number, record_id in self.log if which is None else which:
            self.ledger.acknowledge(record_id, KEY, SHARD, str(number))
        return self

    def read(self, log=None):
        self.ledger.read(KEY, SHARD, [(str(number), record_id) for number, record_id in (self.log if log is None else log)])
        self.ledger.caught_up(KEY, SHARD)
        return self

    def kinds(self):
        return dict(self.ledger.problems.counts)


def test_what_is_kept_is_no_problem():
    world = World().acknowledge().read()
    world.ledger.delivered("object", world.ids)
    world.ledger.all_delivered({KEY})
    assert world.ledger.reread(KEY, SHARD, 0, world.log)
    assert world.kinds() == {}
    assert (world.ledger.acknowledged, world.ledger.verified) == (10, 10)


def test_an_acknowledgement_that_is_noted_after_its_record_was_read_is_none():
    world = World().read()
    assert world.acknowledge().kinds() == {}
    assert world.ledger.verified == 10


def test_what_was_sent_and_not_acknowledged_may_be_there_or_not():
    world = World()
    world.acknowledge(world.log[:4])
    assert world.read(world.log[:7]).kinds() == {}


def test_a_lost_record():
    world = World().acknowledge()
    assert world.read(world.log[:3] + world.log[4:]).kinds() == {"lost": 1}
    assert "0-3" in world.ledger.problems.told[0]


def test_a_lost_end():
    assert World().acknowledge().read(World().log[:8]).kinds() == {"lost": 2}


def test_a_doubled_record_at_a_number_of_its_own():
    world = World().acknowledge()
    assert world.read([*world.log, (world.numbers[-1] + 1, world.ids[5])]).kinds() == {"doubled": 1}


def test_a_doubled_record_at_the_same_number():
    world = World().acknowledge()
    assert world.read([*world.log, world.log[-1]]).kinds() == {"doubled": 1}


def test_records_that_changed_places():
    world = World().acknowledge()
    swapped = [*world.log[:4], world.log[5], world.log[4], *world.log[6:]]
    assert world.read(swapped).kinds() == {"reordered": 1, "lost": 1}


def test_a_producers_order_that_the_numbers_do_not_show():
    world = World()
    assert world.read(list(zip(world.numbers, [*world.ids[1:], world.ids[0]]))).kinds() == {"reordered": 1}


def test_an_invented_record():
    world = World().acknowledge()
    assert world.read([*world.log, (world.numbers[-1] + 1, 10)]).kinds() == {"invented": 1}


def test_data_that_is_no_records():
    world = World().acknowledge(World().log[:9])
    assert world.read([*world.log[:9], (world.numbers[9], None)]).kinds() == {"invented": 1}


def test_a_record_of_another_stream():
    world = World().acknowledge()
    (other,) = world.ledger.send(world.producer, "stream#2", 1)
    assert world.read([*world.log, (world.numbers[-1] + 1, other)]).kinds() == {"invented": 1}


@pytest.mark.parametrize("refused_first", [True, False])
def test_a_refused_record(refused_first):
    world = World()
    if refused_first:
        world.ledger.refuse(world.ids[2])
    world.read()
    if not refused_first:
        world.ledger.refuse(world.ids[2])
    assert world.kinds() == {"invented": 1}


def test_a_number_that_was_acknowledged_twice():
    world = World().acknowledge()
    (later,) = world.ledger.send(world.producer, KEY, 1)
    world.ledger.acknowledge(later, KEY, SHARD, world.numbers[3])
    assert world.kinds() == {"reused": 1}


def test_a_number_that_was_given_again_after_its_record_was_read():
    world = World().acknowledge().read()
    (later,) = world.ledger.send(world.producer, KEY, 1)
    world.ledger.acknowledge(later, KEY, SHARD, world.numbers[3])
    assert world.kinds() == {"reused": 1}


def test_a_number_that_holds_another_record_than_was_acknowledged():
    world = World().acknowledge()
    (later,) = world.ledger.send(world.producer, KEY, 1)
    assert world.read([*world.log[:9], (world.numbers[9], later)]).kinds() == {"reused": 1}


def test_a_record_at_another_number_than_was_acknowledged():
    world = World().acknowledge()
    assert world.read([*world.log[:9], (world.numbers[9] + 1, world.ids[9])]).kinds() == {"moved": 1, "lost": 1}


def test_a_record_that_was_read_and_then_acknowledged_elsewhere():
    world = World().read()
    world.ledger.acknowledge(world.ids[2], KEY, "shardId-000000000001", world.numbers[2])
    world.ledger.acknowledge(world.ids[3], KEY, SHARD, world.numbers[2])
    assert world.kinds() == {"moved": 2}


@pytest.mark.parametrize(
    "change, kind",
    [
        (lambda log: log[:-1], "lost"),
        (lambda log: log[1:], "lost"),
        (lambda log: [*log, log[-1]], "doubled"),
        (lambda log: [*log[:2], log[3], log[2], *log[4:]], "reordered"),
        (lambda log: [*log, (log[-1][0] + 1, 77)], "invented"),
        (lambda log: [*log[:-1], (log[-1][0], None)], "invented"),
    ],
)
def test_a_second_reading_that_differs(change, kind):
    world = World().acknowledge().read()
    assert not world.ledger.reread(KEY, SHARD, 0, change(world.log))
    assert kind in world.kinds()


def test_a_second_reading_of_a_part():
    world = World().acknowledge().read()
    assert world.ledger.reread(KEY, SHARD, 3, world.log[3:6], to_the_tip=False)
    assert not world.ledger.reread(KEY, SHARD, 3, world.log[3:6])
    assert world.kinds() == {"lost": 4}


def test_a_shard_that_is_gone():
    world = World().acknowledge().read()
    world.ledger.lost_whole(KEY, SHARD)
    assert world.kinds() == {"lost": 1}


def test_counts_that_do_not_add_up():
    world = World().acknowledge()
    world.ledger.add_up()
    assert world.kinds() == {"lost": 1}


# ---- delivery


def test_an_undelivered_record():
    world = World().acknowledge().read()
    world.ledger.delivered("object", world.ids[:9])
    world.ledger.all_delivered({KEY})
    assert world.kinds() == {"undelivered": 1}


def test_a_record_in_two_objects():
    world = World().acknowledge().read()
    world.ledger.delivered("one", world.ids[:6])
    world.ledger.delivered("two", world.ids[5:])
    assert world.kinds() == {"delivered-twice": 1}


def test_a_delivered_record_that_is_in_no_shard():
    world = World().read(World().log[:9])
    world.ledger.delivered("object", world.ids)
    assert world.kinds() == {"invented": 1}


def test_an_object_out_of_order():
    world = World().acknowledge().read()
    world.ledger.delivered("object", [world.ids[1], world.ids[0], *world.ids[2:]])
    assert world.kinds() == {"reordered": 1}


@pytest.fixture
def tree(tmp_path):
    world = World().acknowledge().read()
    world.records = Records(1)
    world.lines = [world.records.make(record_id, 100) + b"\n" for record_id in world.ids]
    world.objects = Objects(tmp_path, world.records, world.ledger)
    (tmp_path / "2026").mkdir()
    world.path = tmp_path / "2026" / "object"
    world.path.write_bytes(b"".join(world.lines))
    world.objects.look()
    assert world.kinds() == {} and world.ledger.delivered_records == 10
    return world


def rewrite(path, data):
    """As a daemon does: a new file under the same name."""
    (path.parent / "new").write_bytes(data)
    (path.parent / "new").rename(path)


def test_an_object_that_is_written_again_with_the_same_bytes(tree):
    rewrite(tree.path, b"".join(tree.lines))
    tree.objects.look()
    assert tree.kinds() == {}


def test_an_object_that_is_written_again_with_others(tree):
    rewrite(tree.path, b"".join(tree.lines[:9]))
    tree.objects.look()
    assert tree.kinds() == {"changed": 1}


def test_an_object_that_is_gone(tree):
    tree.path.unlink()
    tree.objects.look()
    assert tree.kinds() == {"lost": 1}


def test_the_same_records_under_a_second_name(tree):
    (tree.path.parent / "second").write_bytes(b"".join(tree.lines[:2]))
    tree.objects.look()
    assert tree.kinds() == {"delivered-twice": 2}


def test_half_an_object(tree):
    (tree.path.parent / "second").write_bytes(tree.lines[0][:50])
    tree.objects.look()
    assert "invented" in tree.kinds()


# ---- what records say, and state


@pytest.mark.parametrize("size", [23, 24, 100, 5000, RECORD_BYTES_MAX])
def test_a_record_tells_who_it_is_and_whether_it_is_whole(size):
    records = Records(7)
    data = records.make(3 << 40 | 12345, size)
    assert len(data) == size and b"\n" not in data
    assert records.read(data) == 3 << 40 | 12345
    assert records.read(data[:-1]) is None
    assert records.read(data + b"x") is None
    if size > 23:
        assert records.read(data[:-1] + b"\x00") is None
    assert records.read(b"") is None


def test_a_value_whose_change_was_acknowledged():
    register = Register("tag", None, Problems())
    register.begin("a")
    register.done()
    register.look("a")
    assert not register.problems
    register.look(None)
    assert register.problems.counts == {"state": 1}


def test_a_value_whose_change_may_have_happened_is_either_until_it_was_seen():
    register = Register("tag", "old", Problems())
    register.begin("new")
    register.look("old")
    assert not register.problems
    register.look("new")
    assert register.problems.counts == {"state": 1}


# ---- the whole, against a daemon that forgets by design


def test_memory_mode_is_found_to_lose(tmp_path):
    command = [sys.executable, "-B", str(CRASH), "--mode", "memory"]
    command += ["--kinds", "random", "--kills", "1", "--seed", "5", "--memory-limit", "256MiB", "--directory", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "lost: " in done.stdout and "again (the moments will differ a little): crash.py --seed 5" in done.stdout


def test_memory_mode_loses_nothing_while_it_lives(tmp_path):
    command = [sys.executable, "-B", str(CRASH), "--mode", "memory"]
    command += ["--kinds", "none", "--kills", "3", "--seed", "6", "--memory-limit", "256MiB", "--directory", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(tmp_path.iterdir())
