"""Every kind of mistake in what a person writes: `check` and `serve` end with 1, say where and what, and touch nothing."""

import subprocess

import pytest

from conftest import BINARY, CLEAN_ENVIRONMENT, PATIENCE

LISTENERS = {"MILLRACE_LISTEN_AWS": "127.0.0.1:0", "MILLRACE_LISTEN_GATEWAY": "127.0.0.1:0"}

STREAM = """streams:
  - StreamName: events
    ShardCount: 1
"""
DELIVERY = """delivery_streams:
  - DeliveryStreamName: to-s3
    DeliveryStreamType: KinesisStreamAsSource
    KinesisStreamSourceConfiguration:
      KinesisStreamARN: arn:aws:kinesis:us-east-1:000000000000:stream/events
      RoleARN: arn:aws:iam::000000000000:role/firehose
    ExtendedS3DestinationConfiguration:
      BucketARN: arn:aws:s3:::datalake
      RoleARN: arn:aws:iam::000000000000:role/firehose
"""
IN_S3 = "delivery_streams[0].ExtendedS3DestinationConfiguration"
API = """apis:
  - name: ingest
    openapi: api.yaml
    stages: [PROD]
"""
OPENAPI = """openapi: 3.0.1
paths:
  /v1:
    post:
      responses: {'200': {description: ok}}
      x-amazon-apigateway-integration:
        type: aws
        uri: arn:aws:apigateway:us-east-1:kinesis:action/PutRecord
        responses: {default: {statusCode: 200}}
"""
INTEGRATION = "POST /v1: x-amazon-apigateway-integration"


def run(command, directory, environment=None, config="millrace.yaml"):
    return subprocess.run(
        [BINARY, command, *(["--config", config] if config else [])],
        cwd=directory,
        env={**CLEAN_ENVIRONMENT, **(LISTENERS if environment is None else environment)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def contents(directory):
    return {path.relative_to(directory): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")}


def expect_refusal(directory, lines, environment=None, config="millrace.yaml"):
    """Both commands say exactly `lines` and how many they are; the directory stays as it is."""
    before = contents(directory)
    count = f"millrace: {len(lines)} mistake{'s' if len(lines) > 1 else ''}"
    for command in ("check", "serve"):
        done = run(command, directory, environment, config)
        assert done.stderr.splitlines() == [*lines, count], command
        assert done.returncode == 1
        assert done.stdout == ""
        assert contents(directory) == before


# name, config, what is said behind "millrace.yaml:"
CONFIGS = [
    ("unknown-key", "listn:\n  aws: x\n", "1: listn: is not a known key; did you mean 'listen'?"),
    ("unknown-key-in-a-section", "log:\n  to: x\n", "2: log.to: is not a known key; known here: level, format"),
    ("key-outside-of-its-section", "memory_limit: 1GiB\n", "1: memory_limit: is not a known key here: write 'memory_limit' below 'storage'"),
    ("wrong-type", "threads: [1]\n", "1: threads: must be one value, not a list: write a number, 0 to 1024"),
    ("no-value", "region:\n", "1: region: has no value: write a region name such as us-east-1"),
    ("value-for-a-section", "storage: memory\n", "1: storage: must hold keys, not a value; known here: mode, sync, memory_limit, file_size, disk_limit, on_damage, encryption, encryption_keys"),
    ("no-key-to-seal-with", "storage:\n  encryption: all\n", "2: storage.encryption: 'all' needs a key: write `1 ` and what `openssl rand -base64 32` prints into a file that only the daemon can read, and name that in storage.encryption_keys"),
    ("key-for-its-file", "storage:\n  encryption_keys: 1 " + "A" * 43 + "=\n", "2: storage.encryption_keys: holds a key, where the path of a file with keys belongs: write a path, or give the text in MILLRACE_STORAGE_ENCRYPTION_KEYS_TEXT"),
    ("value-of-no-form", "storage:\n  memory_limit: lots\n", "2: storage.memory_limit: 'lots' is not a size: write 512MiB, 12GiB or a number of bytes"),
    ("out-of-range", "shutdown:\n  deadline: 2h\n", "2: shutdown.deadline: '2h' is out of range: 0s to 1h"),
    ("key-without-the-one-it-needs", "storage:\n  sync: os\n", "2: storage.sync: is only for storage.mode durable: set that, or leave this out"),
    ("duplicate-key", "region: a\nthreads: 1\nregion: b\n", "3: region: is given twice, first in line 1"),
    ("data-directory-is-a-file", "data_dir: millrace.yaml\n", "1: data_dir: 'millrace.yaml' is a file: write the path of a directory"),
    ("not-yaml", "threads: [1\n", "2:1: not valid YAML: `,` or `]` is expected here"),
    ("tab", "log:\n\tlevel: warn\n", "2:7: not valid YAML: the line is indented with a tab: YAML takes only spaces"),
    ("open-quote", "region: 'a\nthreads: 1\n", "1:9: the quote that opens here is not closed"),
    ("merge-key", "a: &a {}\nlog:\n  <<: *a\n", None),
    ("two-documents", "region: a\n---\nregion: b\n", "2:1: a second document begins here: a file holds one"),
    ("not-utf8", b"region: a\ndata_dir: \xff\n", "2:11: is not UTF-8 text"),
    ("binary", b"\x7fELF\x02\x01\x01\x00", "1:5: is not text: it has control characters"),
    ("too-large", b"#" * (5 << 20), None),
    ("stream-unknown-member", STREAM + "    Shardcount: 2\n", "4: streams[0].Shardcount: is not a known key; did you mean 'ShardCount'?"),
    ("stream-missing-member", "streams:\n  - StreamName: a\n", "2: streams[0]: ShardCount is missing"),
    ("stream-bad-name", "streams:\n  - StreamName: a b\n    ShardCount: 1\n", "2: streams[0].StreamName: 'a b' must match the pattern [a-zA-Z0-9_.-]+"),
    ("stream-no-shards", "streams:\n  - StreamName: a\n    ShardCount: 0\n", "3: streams[0].ShardCount: '0' is out of range: at least 1"),
    ("stream-retention", STREAM + "    RetentionPeriodHours: 8761\n", "4: streams[0].RetentionPeriodHours: '8761' is out of range: 24 to 8760"),
    ("stream-tags", STREAM + "    Tags: [a]\n", "4: streams[0].Tags: must hold names and values, not a list"),
    (
        "stream-reserved-tag",
        STREAM + "    Tags: {'aws:a': b}\n",
        "2: streams[0]: CreateStream: Failed to add tags to stream events under account 000000000000 because tag keys that start with 'aws:' are reserved.",
    ),
    ("two-streams-of-one-name", STREAM + "  - StreamName: events\n    ShardCount: 2\n", "4: streams[1].StreamName: 'events' is declared twice, first in line 2"),
    ("delivery-unknown-member", STREAM + DELIVERY + "      BufferingHint: {}\n", f"13: {IN_S3}.BufferingHint: is not a known key; did you mean 'BufferingHints'?"),
    ("delivery-size", STREAM + DELIVERY + "      BufferingHints: {SizeInMBs: 129, IntervalInSeconds: 1}\n", f"13: {IN_S3}.BufferingHints.SizeInMBs: '129' is out of range: 1 to 128"),
    ("delivery-not-built", STREAM + DELIVERY + "      CompressionFormat: GZIP\n", f"13: {IN_S3}.CompressionFormat: CreateDeliveryStream: CompressionFormat GZIP is not supported yet."),
    ("delivery-half-hints", STREAM + DELIVERY + "      BufferingHints: {SizeInMBs: 1}\n", f"13: {IN_S3}.BufferingHints: CreateDeliveryStream: BufferingHints must have both SizeInMBs and IntervalInSeconds, or neither."),
    ("delivery-bucket", STREAM + DELIVERY.replace("s3:::datalake", "s3:::A"), f"11: {IN_S3}.BucketARN: CreateDeliveryStream: BucketARN must be the ARN of a bucket, arn:aws:s3:::name."),
    (
        "delivery-source-undeclared",
        DELIVERY,
        "5: delivery_streams[0].KinesisStreamSourceConfiguration.KinesisStreamARN: CreateDeliveryStream: Stream events under account 000000000000 not found.",
    ),
    ("delivery-without-destination", "delivery_streams:\n  - DeliveryStreamName: d\n", "2: delivery_streams[0]: CreateDeliveryStream: DeliveryStreamType DirectPut is not supported yet."),
    ("two-delivery-streams-of-one-name", STREAM + DELIVERY + "  - DeliveryStreamName: to-s3\n", "13: delivery_streams[1].DeliveryStreamName: 'to-s3' is declared twice, first in line 5"),
    ("api-without-file", "apis:\n  - {name: a, openapi: none.yaml, stages: [S]}\n", "2: apis[0].openapi: none.yaml: there is no such file"),
    ("api-of-a-directory", "apis:\n  - {name: a, openapi: ., stages: [S]}\n", "2: apis[0].openapi: .: is a directory, not a file"),
    ("api-unknown-member", API + "    stage: S\n", "5: apis[0].stage: is not a known key; did you mean 'stages'?"),
    ("two-apis-of-one-name", API + "  - {name: ingest, openapi: api.yaml, stages: [DEV]}\n", "5: apis[1].name: 'ingest' is declared twice, first in line 2"),
    ("one-stage-twice", "apis:\n  - {name: a, openapi: api.yaml, stages: [S, S]}\n", "2: apis[0].stages[1]: stage 'S' is given twice"),
]
SPECIAL = {
    "merge-key": [
        "millrace.yaml:1: a: is not a known key; known here: listen, region, account_id, multi_account, data_dir, storage, tls, auth, log, threads, shutdown, limits, delays, admin, streams, delivery_streams, apis",
        "millrace.yaml:3: log: YAML merge keys (<<) are not supported: write the members out",
    ],
    "too-large": ["millrace.yaml: is larger than 4 MiB"],
}


@pytest.mark.parametrize("name, config, said", CONFIGS, ids=[case[0] for case in CONFIGS])
def test_a_mistake_in_the_config_file(tmp_path, name, config, said):
    (tmp_path / "api.yaml").write_text(OPENAPI)
    (tmp_path / "millrace.yaml").write_bytes(config if isinstance(config, bytes) else config.encode())
    expect_refusal(tmp_path, SPECIAL.get(name) or ["millrace.yaml:" + said])


# name, OpenAPI document, what is said behind "api.yaml:"
DOCUMENTS = [
    ("empty", "", " the file is empty: an OpenAPI document with `openapi` and `paths` is expected"),
    ("not-yaml", "openapi: [3.0\npaths: {", "2:6: not valid YAML: `,` or `]` is expected here"),
    ("not-json", '{"openapi": "3.0.1" "paths": {}}', "1:21: not valid JSON: `,` or `}` is expected here"),
    ("swagger", "swagger: '2.0'\npaths: {}\n", "1:1: Swagger 2.0 is not supported: export the API as OpenAPI 3.0 (export type oas30)"),
    ("no-paths", "openapi: 3.0.1\n", "1:1: `paths` is missing"),
    ("unsupported-extension", OPENAPI + "x-amazon-apigateway-policy: {}\n", "10:1: the document: `x-amazon-apigateway-policy` is not supported"),
    ("authorizer", OPENAPI + "security: [{key: []}]\n", "10:1: `security` is not supported: authorizers, IAM and API keys are not checked"),
    ("unknown-method", OPENAPI.replace("    post:", "    pots:"), "4:5: path `/v1`: `pots` is not known in OpenAPI 3.0; did you mean `post`?"),
    ("no-integration", "openapi: 3.0.1\npaths:\n  /v1:\n    post: {}\n", "4:5: POST /v1: `x-amazon-apigateway-integration` is missing"),
    ("integration-type", OPENAPI.replace("type: aws", "type: mock"), f"7:15: {INTEGRATION}: type `mock` is not supported, `aws` is"),
    (
        "unknown-action",
        OPENAPI.replace("PutRecord", "PutRekord"),
        f"8:14: {INTEGRATION}: uri `arn:aws:apigateway:us-east-1:kinesis:action/PutRekord`: there is no action `PutRekord` of the service `kinesis`; did you mean `PutRecord`?",
    ),
    (
        "unknown-service",
        OPENAPI.replace("kinesis:", "sqs:"),
        f"8:14: {INTEGRATION}: uri `arn:aws:apigateway:us-east-1:sqs:action/PutRecord`: there is no service `sqs` with an action `PutRecord`",
    ),
    ("operation-twice", OPENAPI.replace("    post:", "    post: *p\n    post:").replace("paths:", "info: &p {}\npaths:"), None),
    ("status-pattern", OPENAPI.replace("default:", "'4xx':"), f"9:21: {INTEGRATION} responses `4xx`: matches no status from 100 to 599: write a status, or a regular expression such as 4\\d{{2}}"),
    ("unknown-status", OPENAPI.replace("statusCode: 200", "statusCode: 202"), f"9:43: {INTEGRATION} responses `default`: statusCode `202` is none of the operation's `responses` (200)"),
    ("content-type", OPENAPI + "        requestTemplates: {json: x}\n", f"10:28: {INTEGRATION} requestTemplates: `json` is not a content type such as application/json"),
    ("path-parameter", OPENAPI.replace("/v1:", "/{id}:\n    parameters: [{name: ids, in: path}]"), "4:25: path `/{id}`: the path has no parameter `ids`; did you mean `id`?"),
    ("two-names-in-one-place", OPENAPI + "  /{a}: {}\n  /{b}: {}\n", "11:3: path `/{b}`: {b} stands where `/{a}` in line 10 has {a}: a place in a path has one parameter"),
    ("greedy-not-last", OPENAPI + "  /{a+}/b: {}\n", "10:3: path `/{a+}/b`: a greedy parameter {name+} must be the last segment"),
    (
        "template-literal",
        OPENAPI + "        requestTemplates:\n          application/json: |\n            {\n              #forech($x in [1])\n            }\n",
        f"13:15: {INTEGRATION} requestTemplates application/json, line 2, column 3 of the template: #forech(...) is not a directive; did you mean #foreach?",
    ),
    (
        "template-quoted",
        OPENAPI + '        requestTemplates: {application/json: "{\\n  \\"a\\": $util.none(1)}"}\n',
        f"10:65: {INTEGRATION} requestTemplates application/json, line 2, column 14 of the template: $util.none() is not supported",
    ),
    (
        "template-of-a-response",
        OPENAPI.replace("{statusCode: 200}", "{statusCode: 200, responseTemplates: {text/plain: '#if(true)'}}"),
        f"9:81: {INTEGRATION} responses `default` responseTemplates text/plain, line 1, column 1 of the template: #if without #end",
    ),
]


@pytest.mark.parametrize("name, document, said", DOCUMENTS, ids=[case[0] for case in DOCUMENTS])
def test_a_mistake_in_an_openapi_file(tmp_path, name, document, said):
    (tmp_path / "api.yaml").write_text(document)
    (tmp_path / "millrace.yaml").write_text(STREAM + API)
    if name == "operation-twice":
        said = "6:5: paths./v1.post: is given twice, first in line 5"
        first = "api.yaml:5:5: POST /v1: `x-amazon-apigateway-integration` is missing"
        return expect_refusal(tmp_path, [first, "api.yaml:" + said])
    expect_refusal(tmp_path, ["api.yaml:" + said])


def test_an_openapi_file_that_is_too_large(tmp_path):
    (tmp_path / "api.yaml").write_bytes(b"#" * (17 << 20))
    (tmp_path / "millrace.yaml").write_text(API)
    expect_refusal(tmp_path, ["millrace.yaml:3: apis[0].openapi: api.yaml: is larger than 16 MiB"])


def test_two_apis_that_answer_the_same_requests(tmp_path):
    (tmp_path / "api.yaml").write_text(OPENAPI)
    (tmp_path / "other.yaml").write_text(OPENAPI.replace("/v1:", "/{any+}:"))
    (tmp_path / "millrace.yaml").write_text(API + "  - {name: other, openapi: other.yaml, stages: [DEV, PROD]}\n")
    said = "path `/{any+}` of API `other` answers the same requests on stage `PROD` as `/v1` of API `ingest` (api.yaml:3): give one of them another stage or path"
    expect_refusal(tmp_path, ["other.yaml:3:3: " + said])


@pytest.mark.parametrize(
    "path, why",
    [
        ("none.yaml", "there is no such file"),
        ("directory", "is a directory, not a file"),
        ("/proc/self/mem", "cannot be read: Input/output error"),
        ("/dev/zero", "is larger than 4 MiB"),
    ],
    ids=["missing", "directory", "unreadable", "endless"],
)
def test_a_config_file_that_cannot_be_read(tmp_path, path, why):
    (tmp_path / "directory").mkdir()
    expect_refusal(tmp_path, [f"{path}: {why}"], config=path)


def test_mistakes_in_the_environment(tmp_path):
    environment = {"MILLRACE_THREADS": "many", "MILLRACE_STORAGE_MODE": "disk", "MILLRACE_LISTEN_AWS": "localhost:8080"}
    (tmp_path / "millrace.yaml").write_text("region: A\n")
    lines = [
        "environment: MILLRACE_STORAGE_MODE (storage.mode): 'disk' is not known: use one of memory, durable",
        "environment: MILLRACE_THREADS (threads): 'many' is not a whole number: write 0 to 1024",
        "environment: MILLRACE_LISTEN_AWS (listen.aws): localhost:8080 takes the address of listen.gateway (localhost:8080): give one of them another port",
    ]
    expect_refusal(tmp_path, ["millrace.yaml:1: region: 'A' is not a region name: write one like us-east-1", *lines], environment)
    expect_refusal(tmp_path, lines, environment, config=None)


def test_all_mistakes_of_declarations_at_once(tmp_path):
    (tmp_path / "api.yaml").write_text(OPENAPI.replace("type: aws", "type: mock").replace("action/PutRecord", "path/x"))
    (tmp_path / "millrace.yaml").write_text(
        "streams:\n  - {StreamName: events, ShardCount: 1, Tags: {'aws:a': b}}\n  - {StreamName: other, ShardCount: 1}\n"
        + DELIVERY  # reads from the stream that fails: not told for its sake
        + DELIVERY.partition("\n")[2].replace("to-s3", "more").replace("stream/events", "stream/none")
        + API
    )
    expect_refusal(
        tmp_path,
        [
            "millrace.yaml:2: streams[0]: CreateStream: Failed to add tags to stream events under account 000000000000 because tag keys that start with 'aws:' are reserved.",
            "millrace.yaml:16: delivery_streams[1].KinesisStreamSourceConfiguration.KinesisStreamARN: CreateDeliveryStream: Stream none under account 000000000000 not found.",
            f"api.yaml:7:15: {INTEGRATION}: type `mock` is not supported, `aws` is",
            f"api.yaml:8:14: {INTEGRATION}: uri `arn:aws:apigateway:us-east-1:kinesis:path/x` is not supported: arn:aws:apigateway:{{region}}:{{service}}:action/{{Action}} is",
        ],
    )


def test_more_mistakes_than_anyone_reads(tmp_path):
    (tmp_path / "millrace.yaml").write_text("".join(f"unknown{number}: 1\n" for number in range(60)))
    for command in ("check", "serve"):
        done = run(command, tmp_path)
        assert done.returncode == 1
        lines = done.stderr.splitlines()
        assert len(lines) == 52
        assert lines[49].startswith("millrace.yaml:50: unknown49: ")
        assert lines[50:] == ["and 10 more", "millrace: 60 mistakes"]


def test_what_is_right_is_served(tmp_path):
    """The documents above but for their mistakes."""
    (tmp_path / "api.yaml").write_text(OPENAPI)
    (tmp_path / "millrace.yaml").write_text(STREAM + DELIVERY + API)
    done = run("check", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "API ingest" in done.stdout


def test_mistakes_on_the_command_line():
    for words, said in [
        (["fly"], "millrace: 'fly' is not a command: there are serve, check, version, health, log, tail, agent and help"),
        (["serve", "--confg", "x"], "millrace: '--confg' is not an option of serve; did you mean '--config'?"),
        (["check", "--config"], "millrace: --config takes a value"),
        (["check", "--config", ""], "millrace: --config is empty: it takes a value"),
    ]:
        done = subprocess.run([BINARY, *words], env=CLEAN_ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.splitlines()[0] == said
