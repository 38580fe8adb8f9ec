"""A server that really speaks S3 and checks signatures, with one bucket and one key that may use it."""

import contextlib
import json
import logging
import secrets
from collections.abc import Iterator
from dataclasses import replace

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from app.recordings.s3 import Bucket

_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
_SETUP = {"region_name": "eu-central-1", "aws_access_key_id": "setup", "aws_secret_access_key": "setup"}


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    """What a deployment is told of it. The server lives in a thread of this process."""
    with s3_server() as made:
        yield made


@contextlib.contextmanager
def s3_server() -> Iterator[Bucket]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    try:
        _ask_for_signatures(url, after="inf")  # servers of one process share what they think of that
        name = f"dial-{secrets.token_hex(4)}"  # servers of one process share users and buckets, too
        iam = boto3.client("iam", endpoint_url=url, **_SETUP)
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="recordings", PolicyDocument=json.dumps(_POLICY))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        where = {"LocationConstraint": "eu-central-1"}
        boto3.client("s3", endpoint_url=url, **_SETUP).create_bucket(Bucket=name, CreateBucketConfiguration=where)
        _ask_for_signatures(url, after="0")
        yield Bucket(name, url, "dial/calls", "eu-central-1", key["AccessKeyId"], key["SecretAccessKey"])
    finally:
        server.stop()


def _ask_for_signatures(url: str, *, after: str) -> None:
    """Of keys that the server knows, after so many requests."""
    httpx.post(f"{url}/moto-api/reset-auth", content=after.encode()).raise_for_status()


def keys_in(bucket: Bucket) -> list[str]:
    """What lies in it, below its prefix."""
    client = boto3.client(
        "s3",
        endpoint_url=bucket.endpoint,
        region_name=bucket.region,
        aws_access_key_id=bucket.key,
        aws_secret_access_key=bucket.secret,
    )
    found = client.list_objects_v2(Bucket=bucket.name, Prefix=bucket.prefix + "/").get("Contents", [])
    return [one["Key"].removeprefix(bucket.prefix + "/") for one in found]


def below(bucket: Bucket, prefix: str) -> Bucket:
    """The same bucket under a prefix of the test's own."""
    return replace(bucket, prefix=f"{bucket.prefix}/{prefix}")
