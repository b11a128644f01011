"""What a stream has beside its records, tags and retention, and what another account has: changed under load, looked at after a kill."""

import json

import wire
from ledger import Register

OTHER_ACCOUNT = "111122223333"
CONSUMERS = 3
RECORD_KIB = (1024, 2048, 10240)


def arn(stream, account="000000000000"):
    return f"arn:aws:kinesis:us-east-1:{account}:stream/{stream}"


class Settings:
    """Consumers, policies, encryption and the largest record of some streams; streams of another account and their tags."""

    def __init__(self, streams, problems):
        self.problems = problems
        self.consumers = {(s, f"consumer{n}"): Register(f"consumer{n} of {s}", None, problems) for s in streams for n in range(CONSUMERS)}
        self.policies = {s: Register(f"policy of {s}", None, problems) for s in streams}
        self.keys = {s: Register(f"key of {s}", None, problems) for s in streams}
        self.sizes = {s: Register(f"largest record of {s}", RECORD_KIB[0], problems) for s in streams}
        self.theirs = {name: Register(f"stream {name} of another account", None, problems) for name in (*streams[:1], "theirs")}
        self.number = 0

    def next(self):
        self.number += 1
        return self.number

    def step(self, client, rng, change):
        """One change: `change(register, value, call)` makes it."""
        kinds = (self.change_consumer, self.change_policy, self.change_key, self.change_size, self.change_theirs)
        rng.choice(kinds)(client, rng, change)

    def change_consumer(self, client, rng, change):
        (stream, name), register = rng.choice(sorted(self.consumers.items(), key=lambda item: item[0]))
        if register.value is None:
            change(register, "there", lambda: client.kinesis("RegisterStreamConsumer", StreamARN=arn(stream), ConsumerName=name))
        else:
            change(register, None, lambda: client.kinesis("DeregisterStreamConsumer", StreamARN=arn(stream), ConsumerName=name))

    def change_policy(self, client, rng, change):
        stream, register = rng.choice(sorted(self.policies.items()))
        if register.value is not None and rng.random() < 0.3:
            change(register, None, lambda: client.kinesis("DeleteResourcePolicy", ResourceARN=arn(stream)))
            return
        statement = {"Sid": f"s{self.next()}", "Effect": "Allow", "Principal": "*", "Action": "kinesis:GetRecords", "Resource": arn(stream)}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        change(register, policy, lambda: client.kinesis("PutResourcePolicy", ResourceARN=arn(stream), Policy=policy))

    def change_key(self, client, rng, change):
        stream, register = rng.choice(sorted(self.keys.items()))
        if register.value is None:
            key = f"alias/key{self.next()}"
            change(register, key, lambda: client.kinesis("StartStreamEncryption", StreamName=stream, EncryptionType="KMS", KeyId=key))
        else:
            key = register.value
            change(register, None, lambda: client.kinesis("StopStreamEncryption", StreamName=stream, EncryptionType="KMS", KeyId=key))

    def change_size(self, client, rng, change):
        stream, register = rng.choice(sorted(self.sizes.items()))
        size = rng.choice([kib for kib in RECORD_KIB if kib != register.value])
        change(register, size, lambda: client.kinesis("UpdateMaxRecordSize", StreamARN=arn(stream), MaxRecordSizeInKiB=size))

    def change_theirs(self, client, rng, change):
        name, register = rng.choice(sorted(self.theirs.items()))
        if register.value is None:
            number = self.next()
            call = lambda: client.kinesis_of(OTHER_ACCOUNT, "CreateStream", StreamName=name, ShardCount=1, Tags={"number": str(number)})
            change(register, str(number), call)
        else:
            change(register, None, lambda: client.kinesis_of(OTHER_ACCOUNT, "DeleteStream", StreamName=name))

    def look(self, client):
        for stream in self.policies:
            found = {one["ConsumerName"] for one in client.kinesis("ListStreamConsumers", StreamARN=arn(stream))["Consumers"]}
            for (of, name), register in self.consumers.items():
                if of == stream:
                    register.look("there" if name in found else None)
            policy = client.kinesis("GetResourcePolicy", ResourceARN=arn(stream)).get("Policy")
            self.policies[stream].look(policy if policy and policy != "{}" else None)
            summary = client.kinesis("DescribeStreamSummary", StreamName=stream)["StreamDescriptionSummary"]
            self.keys[stream].look(summary.get("KeyId"))
            self.sizes[stream].look(summary["MaxRecordSizeInKiB"])
        names = set(client.kinesis_of(OTHER_ACCOUNT, "ListStreams", Limit=100)["StreamNames"])
        for name in sorted(names - set(self.theirs)):
            self.problems.add("state", f"a stream {name} of another account that nobody made there")
        for name, register in self.theirs.items():
            if name not in names:
                register.look(None)
                continue
            tags = client.kinesis_of(OTHER_ACCOUNT, "ListTagsForStream", StreamName=name)["Tags"]
            register.look(next((tag["Value"] for tag in tags if tag["Key"] == "number"), "without its tag"))
