#!/usr/bin/env python3
"""Writes sigv4_vectors.json: requests as botocore signs them. Run by hand with the Python of scripts/deps --tests."""
import datetime
import json
import pathlib
from unittest import mock

import botocore
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

TIME = datetime.datetime(2026, 11, 20, 10, 15, 0, tzinfo=datetime.timezone.utc)
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
PUT = '{"StreamName":"clicks","PartitionKey":"k","Data":"aGVsbG8="}'
AMZ_JSON = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202.PutRecord"}
CASES = [
    ("PutRecord", "POST", "http://localhost:4566/", AMZ_JSON, PUT),
    ("an empty body", "GET", "http://kinesis.us-east-1.localhost:4566/", {}, ""),
    ("a header with blanks", "POST", "http://localhost:4566/", {"X-Amz-Meta": "  a   b \t c  ", **AMZ_JSON}, "{}"),
    ("a query", "GET", "http://localhost:4566/?b=2&a=1&a=0&empty=&Action=List%20All&plus=a%2Bb&tilde=~&star=%2A", {}, ""),
    ("a path", "GET", "http://localhost:4566/a/./b/../c%20d/%C3%A9/", {}, ""),
    ("a path without an end", "GET", "http://localhost:4566//x//y", {}, ""),
    ("a large body", "POST", "http://localhost:4566/", AMZ_JSON, "x" * 5000),
]


def frozen():
    names = [name for name in ("get_current_datetime",) if hasattr(auth, name)]
    if names:
        return mock.patch.object(auth, names[0], lambda remove_tzinfo=True: TIME.replace(tzinfo=None) if remove_tzinfo else TIME)
    fake = mock.Mock(wraps=datetime.datetime)
    fake.utcnow.return_value = TIME.replace(tzinfo=None)
    return mock.patch.object(auth.datetime, "datetime", fake)


def signed(name, method, url, headers, body, presigned):
    credentials = Credentials(KEY, SECRET)
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body.encode())
    signer = (auth.SigV4QueryAuth(credentials, "kinesis", "us-east-1", expires=300) if presigned
              else auth.SigV4Auth(credentials, "kinesis", "us-east-1"))
    seen = {}
    canonical = signer.canonical_request

    def keep(request):
        seen["canonical"] = canonical(request)
        return seen["canonical"]

    signer.canonical_request = keep
    with frozen():
        signer.add_auth(request)
    prepared = request.prepare()
    target = prepared.url.split("/", 3)[3]
    path, _, query = ("/" + target).partition("?")
    fields = [["Host", url.split("/")[2]]] + [[k, v.decode() if isinstance(v, bytes) else v] for k, v in prepared.headers.items()]
    return {"name": name + (", presigned" if presigned else ""), "method": method, "path": path, "query": query,
            "headers": fields, "body": body, "canonical": seen["canonical"]}


vectors = [signed(*case, presigned) for case in CASES for presigned in (False, True) if not (presigned and case[4])]
out = {"access_key_id": KEY, "secret_access_key": SECRET, "botocore": botocore.__version__, "requests": vectors}
pathlib.Path(__file__).with_name("sigv4_vectors.json").write_text(json.dumps(out, indent=1) + "\n")
