"""Users and keys by `mogul admin`, and that each reaches what is his (issue 2, "Users")."""

import json
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError
from conftest import boto
from harness.wire import Signer, Wire


def admin(server, *arguments, check=True):
    return server.cli("admin", *arguments, "--endpoint", server.admin, check=check)


def test_a_user_comes_and_goes(server, names):
    name = names()

    admin(
        server,
        "user",
        "add",
        name,
        "--display-name",
        "Some One",
        "--email",
        "one@example.org",
        "--access-key",
        "AKCOMESANDGOES",
        "--secret-key",
        "k" * 40,
    )

    assert name in admin(server, "user", "list").stdout
    users = json.loads(admin(server, "user", "list", "--json").stdout)
    assert name in json.dumps(users)
    theirs = boto(server, "AKCOMESANDGOES", "k" * 40)
    assert theirs.list_buckets()["Buckets"] == []
    assert theirs.list_buckets()["Owner"]["DisplayName"] == "Some One"
    admin(server, "user", "remove", name)
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        theirs.list_buckets()
    assert name not in admin(server, "user", "list").stdout


def test_a_user_without_keys_told_gets_new_ones(server, names):
    name = names()

    made = json.loads(admin(server, "user", "add", name, "--json").stdout)

    text = json.dumps(made)
    access = next(word for word in text.split('"') if word.startswith("MG"))
    secret = next(word for word in text.split('"') if len(word) == 40 and word != access)
    assert boto(server, access, secret).list_buckets()["Buckets"] == []


def test_keys_come_and_go(server, names):
    name = names()
    admin(server, "user", "add", name, "--access-key", "AKFIRSTKEYOFTWO", "--secret-key", "a" * 40)

    admin(server, "key", "add", name, "--access-key", "AKSECONDKEYOFTWO", "--secret-key", "b" * 40)

    assert (
        boto(server, "AKSECONDKEYOFTWO", "b" * 40).list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200
    )
    listed = admin(server, "key", "list", name).stdout
    assert "AKFIRSTKEYOFTWO" in listed and "AKSECONDKEYOFTWO" in listed
    assert "a" * 40 not in listed and "b" * 40 not in listed
    admin(server, "key", "remove", "AKFIRSTKEYOFTWO")
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        boto(server, "AKFIRSTKEYOFTWO", "a" * 40).list_buckets()
    assert boto(server, "AKSECONDKEYOFTWO", "b" * 40).list_buckets()["Buckets"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("user", "remove", "nobody-of-this-name"),
        ("key", "remove", "AKNOBODYS"),
        ("key", "list", "nobody-of-this-name"),
        ("key", "add", "nobody-of-this-name"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(server, arguments):
    done = admin(server, *arguments, check=False)

    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_name_is_taken_once(server, names):
    name = names()
    admin(server, "user", "add", name)

    done = admin(server, "user", "add", name, check=False)

    assert done.returncode != 0 and "exist" in done.stderr


def test_each_reaches_only_what_is_his(server, s3, wire, bucket, other_user, names):
    theirs, their_wire = other_user
    s3.put_object(Bucket=bucket, Key="k", Body=b"roots")
    own = names()
    theirs.create_bucket(Bucket=own)
    theirs.put_object(Bucket=own, Key="k", Body=b"theirs")

    requests = [
        ("GET", f"/{bucket}", ""),
        ("GET", f"/{bucket}/k", ""),
        ("PUT", f"/{bucket}/k", ""),
        ("DELETE", f"/{bucket}/k", ""),
        ("DELETE", f"/{bucket}", ""),
        ("GET", f"/{bucket}", "uploads"),
        ("POST", f"/{bucket}/k", "uploads"),
        ("GET", f"/{bucket}/k", "tagging"),
        ("GET", f"/{bucket}", "location"),
        ("POST", f"/{bucket}", "delete"),
        ("GET", f"/{bucket}/k", "attributes"),
        ("GET", f"/{bucket}/missing", ""),
        ("GET", f"/{bucket}", "versions"),
        ("GET", f"/{bucket}", "acl"),
        ("PUT", f"/{bucket}", "policy"),
    ]
    for method, path, query in requests:
        answer = their_wire.request(method, path, query)
        assert (answer.status, answer.code()) == (403, "AccessDenied"), (method, path, query)
    for method in ("HEAD",):
        assert their_wire.request(method, f"/{bucket}/k").status == 403
    for key, source in [
        (f"/{own}/stolen", f"/{bucket}/k"),
        (f"/{own}/stolen", f"/{own}/../{bucket}/k"),
        (f"/{own}/stolen", f"{bucket}%2Fk"),
    ]:
        stolen = their_wire.request("PUT", key, headers={"x-amz-copy-source": source})
        assert stolen.status in (403, 404), (source, stolen)
    upload = theirs.create_multipart_upload(Bucket=own, Key="u")["UploadId"]
    part = their_wire.request(
        "PUT", f"/{own}/u", f"partNumber=1&uploadId={upload}", {"x-amz-copy-source": f"/{bucket}/k"}
    )
    assert (part.status, part.code()) == (403, "AccessDenied")
    assert theirs.get_object(Bucket=own, Key="k")["Body"].read() == b"theirs"
    assert [b["Name"] for b in theirs.list_buckets()["Buckets"]] == [own]
    assert s3.get_object(Bucket=own, Key="k")["Body"].read() == b"theirs"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"roots"


def test_the_admin_port_is_roots_alone(server, other_user):
    _, theirs = other_user

    keys = {
        "MOGUL_ROOT_ACCESS_KEY": theirs.signer.access_key,
        "MOGUL_ROOT_SECRET_KEY": theirs.signer.secret_key,
    }
    refused = server.cli("admin", "user", "list", "--endpoint", server.admin, check=False, environment=keys)

    assert refused.returncode != 0 and "AKROOT" not in refused.stdout
    for path in ("/admin/v1/users", "/admin/v1/keys/AKROOTOFTHETESTS0001", "/admin/v1/users/root/keys"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(server.admin + path, timeout=10)
        assert caught.value.code in (401, 403), path


def test_the_cli_reads_the_credentials_beside_the_data(new_server):
    server = new_server(devices=1, start=False)
    server.keys = {}
    server.start()

    server.cli("admin", "user", "add", "somebody", "--endpoint", server.admin, "--data", server.dirs[0])

    keys = json.loads((server.dirs[0] / "root-credentials.json").read_text())
    assert (server.dirs[0] / "root-credentials.json").stat().st_mode & 0o777 == 0o600
    access, secret = keys["access_key"], keys["secret_key"]
    assert boto(server, access, secret).list_buckets()["Buckets"] == []
    assert secret in server.log.read_text()
    server.stop()
    server.start()
    assert server.log.read_text().count(secret) == 1
    assert Wire(server, Signer(access, secret)).request("GET", "/").status == 200
