"""What the records of a run say: who sent them and as which, so that each tells by itself whether it was ever sent."""

import base64
import random

FILLER_BYTES = 4 << 20
KEY_BYTES = 16
RECORD_BYTES_MAX = (1 << 20) - KEY_BYTES  # key and data together have AWS's limit
_HEAD = 3 + 1 + 10 + 1 + 7 + 1  # producer-sequence-length|


class Records:
    """An id is producer << 40 | sequence. A record is `producer-sequence-length|filler`, one line of text; which part of
    the filler follows from the id, so that a byte that is not its own shows."""

    def __init__(self, seed):
        text = random.Random(seed).randbytes(FILLER_BYTES * 3 // 4)
        self.filler = base64.b64encode(text).replace(b"\n", b"-")

    def make(self, record_id, size):
        size = min(max(size, _HEAD), RECORD_BYTES_MAX)
        head = b"%03d-%010d-%07d|" % (record_id >> 40, record_id & ((1 << 40) - 1), size)
        return head + self.part(record_id, size - len(head))

    def part(self, record_id, length):
        begin = (record_id * 2654435761) % (len(self.filler) - RECORD_BYTES_MAX)
        return self.filler[begin : begin + length]

    def read(self, data):
        """The id of the record; nothing when these are not the bytes of one."""
        head = data[:_HEAD]
        if len(head) != _HEAD or head[3:4] != b"-" or head[14:15] != b"-" or head[22:23] != b"|":
            return None
        producer, sequence, size = head[:3], head[4:14], head[15:22]
        if not (producer.isdigit() and sequence.isdigit() and size.isdigit()) or int(size) != len(data):
            return None
        record_id = int(producer) << 40 | int(sequence)
        return record_id if data[_HEAD:] == self.part(record_id, len(data) - _HEAD) else None


def name_of(record_id):
    return f"{record_id >> 40}-{record_id & ((1 << 40) - 1)}"


def random_size(rng, large_share=0.002):
    """Bytes: mostly up to some KiB, rarely as large as a record may be."""
    kind = rng.random()
    if kind < large_share:
        return RECORD_BYTES_MAX
    if kind < 0.03:
        return rng.randrange(16 << 10, 200 << 10)
    return rng.randrange(_HEAD, 6 << 10) if kind < 0.5 else rng.randrange(_HEAD, 400)
