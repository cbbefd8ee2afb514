"""The programs that people use: aws-cli, s3cmd, rclone, none of them with a special flag."""

import filecmp
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import requests
from harness.server import ACCESS_KEY, REGION, ROOT, SECRET_KEY

MIB = 2**20
SOURCES = ["storage", "tracker", "api", "integration", "migrations"]


def run(command, environment, check=True, **options):
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=150,
        **options,
    )
    assert not check or done.returncode == 0, f"{command}\n{done.stdout[-500:]}\n{done.stderr[-2000:]}"
    return done


@pytest.fixture
def aws(either, tmp_path):
    """Runs aws-cli as its documentation says: credentials, region and endpoint in the environment."""
    environment = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": either.endpoint,
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
    if either.tls:
        environment["AWS_CA_BUNDLE"] = str(either.tls[0])
    program = pathlib.Path(sys.executable).parent / "aws"
    return lambda *arguments, **options: run([program, *arguments], environment, **options)


@pytest.fixture
def s3cmd(server, tmp_path):
    config = tmp_path / "s3cfg"
    host = server.endpoint.removeprefix("http://")
    config.write_text(
        f"[default]\naccess_key = {ACCESS_KEY}\nsecret_key = {SECRET_KEY}\nhost_base = {host}\nhost_bucket = {host}\nuse_https = False\n"
    )
    return lambda *arguments, **options: run(
        ["s3cmd", "-c", config, "--no-progress", *arguments], {}, **options
    )


@pytest.fixture
def rclone(either, tmp_path):
    environment = {
        "RCLONE_CONFIG": str(tmp_path / "rclone.conf"),
        "RCLONE_CONFIG_M_TYPE": "s3",
        "RCLONE_CONFIG_M_PROVIDER": "Other",
        "RCLONE_CONFIG_M_ACCESS_KEY_ID": ACCESS_KEY,
        "RCLONE_CONFIG_M_SECRET_ACCESS_KEY": SECRET_KEY,
        "RCLONE_CONFIG_M_ENDPOINT": either.endpoint,
        "RCLONE_LOW_LEVEL_RETRIES": "1",
        "RCLONE_RETRIES": "1",
    }
    if either.tls:
        environment["RCLONE_CA_CERT"] = str(either.tls[0])
    (tmp_path / "rclone.conf").write_text("")
    return lambda *arguments, **options: run(["rclone", *arguments], environment, **options)


@pytest.fixture
def tree(tmp_path):
    """A copy of the project's sources, and some names that are not of a programmer's making."""
    folder = tmp_path / "tree"
    unwanted = shutil.ignore_patterns("target", "__pycache__", "*.pyc")
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    for name in (
        "with space",
        "plus+and%percent",
        "ünïcødé 日本",
        "quote'and\"double",
        "hash#query?",
        "a&b=c",
    ):
        (folder / "names").mkdir(exist_ok=True)
        (folder / "names" / name).write_text(name)
    (folder / "names" / "empty").touch()
    return folder


def assert_same(left, right):
    done = subprocess.run(["diff", "-r", left, right], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_readmes_lines(aws, names, tmp_path, tree):
    name = names()
    big = tmp_path / "big"
    big.write_bytes(os.urandom(MIB) * 300)

    aws("s3", "mb", f"s3://{name}")
    aws("s3", "cp", big, f"s3://{name}/big", "--no-progress")
    listing = aws("s3", "ls", f"s3://{name}").stdout
    aws("s3", "cp", f"s3://{name}/big", tmp_path / "back", "--no-progress")
    aws("s3", "sync", tree, f"s3://{name}/tree", "--no-progress")
    aws("s3", "sync", f"s3://{name}/tree", tmp_path / "tree-back", "--no-progress")

    assert f"{300 * MIB} big" in listing
    assert filecmp.cmp(big, tmp_path / "back", shallow=False)
    assert_same(tree, tmp_path / "tree-back")
    assert aws("s3", "sync", tree, f"s3://{name}/tree", "--no-progress").stdout == ""
    aws("s3", "rm", f"s3://{name}", "--recursive", "--only-show-errors")
    assert aws("s3", "ls", f"s3://{name}").stdout == ""
    aws("s3", "rb", f"s3://{name}")


def test_aws_s3_commands(aws, names, tmp_path, either):
    name, small = names(), tmp_path / "small"
    small.write_text("small")
    aws("s3", "mb", f"s3://{name}")
    aws(
        "s3",
        "cp",
        small,
        f"s3://{name}/d/small",
        "--storage-class",
        "REDUCED_REDUNDANCY",
        "--metadata",
        "a=1",
    )
    aws("s3", "cp", f"s3://{name}/d/small", f"s3://{name}/d/copy")
    aws("s3", "mv", f"s3://{name}/d/copy", f"s3://{name}/moved")

    assert "PRE d/" in aws("s3", "ls", f"s3://{name}").stdout
    assert aws("s3", "cp", f"s3://{name}/moved", "-").stdout == "small"
    url = aws("s3", "presign", f"s3://{name}/moved").stdout.strip()
    assert requests.get(url, verify=str(either.tls[0]) if either.tls else True).text == "small"
    streamed = aws("s3", "cp", "-", f"s3://{name}/streamed", input="from standard input")
    assert streamed.returncode == 0
    assert aws("s3", "cp", f"s3://{name}/streamed", "-").stdout == "from standard input"
    assert aws("s3", "ls", f"s3://{name}/none", check=False).returncode != 0
    aws("s3", "rb", f"s3://{name}", "--force")


def test_aws_s3api_commands(aws, names, tmp_path):
    name, part = names(), tmp_path / "part"
    part.write_bytes(os.urandom(5 * MIB))
    where = ["--bucket", name, "--key", "k"]
    tell = lambda *arguments: json.loads(aws("s3api", *arguments).stdout or "{}")  # noqa: E731
    tell("create-bucket", "--bucket", name)
    tell("wait", "bucket-exists", "--bucket", name)
    upload = tell(
        "create-multipart-upload",
        *where,
        "--checksum-algorithm",
        "CRC32",
        "--checksum-type",
        "FULL_OBJECT",
    )["UploadId"]
    etag = tell("upload-part", *where, "--upload-id", upload, "--part-number", "1", "--body", part)["ETag"]

    assert tell("list-parts", *where, "--upload-id", upload)["Parts"][0]["Size"] == 5 * MIB
    assert tell("list-multipart-uploads", "--bucket", name)["Uploads"][0]["UploadId"] == upload
    parts = json.dumps({"Parts": [{"PartNumber": 1, "ETag": etag}]})
    done = tell("complete-multipart-upload", *where, "--upload-id", upload, "--multipart-upload", parts)
    assert done["ETag"].strip('"') == hashlib.md5(hashlib.md5(part.read_bytes()).digest()).hexdigest() + "-1"
    head = tell("head-object", *where, "--checksum-mode", "ENABLED")
    assert (head["ContentLength"], head["ChecksumType"]) == (5 * MIB, "FULL_OBJECT")
    tell("put-object-tagging", *where, "--tagging", "TagSet=[{Key=a,Value=1}]")
    assert tell("get-object-tagging", *where)["TagSet"] == [{"Key": "a", "Value": "1"}]
    got = tell("get-object", *where, "--range", "bytes=0-9", tmp_path / "range")
    assert got["ContentRange"] == f"bytes 0-9/{5 * MIB}"
    assert (
        tell("get-object-attributes", *where, "--object-attributes", "ETag", "ObjectSize")["ObjectSize"]
        == 5 * MIB
    )
    assert len(tell("list-objects-v2", "--bucket", name, "--delimiter", "/")["Contents"]) == 1
    tell("delete-objects", "--bucket", name, "--delete", "Objects=[{Key=k}]")
    tell("delete-bucket", "--bucket", name)
    refused = aws("s3api", "head-bucket", "--bucket", name, check=False)
    assert refused.returncode != 0 and "404" in refused.stderr


def test_s3cmd(s3cmd, names, tmp_path, tree):
    name = names()
    big = tmp_path / "big"
    big.write_bytes(os.urandom(MIB) * 40)

    s3cmd("mb", f"s3://{name}")
    s3cmd("put", big, f"s3://{name}/big")
    s3cmd("sync", f"{tree}/", f"s3://{name}/tree/")
    (tmp_path / "back").mkdir()
    s3cmd("sync", f"s3://{name}/tree/", f"{tmp_path}/back/")
    s3cmd("get", f"s3://{name}/big", tmp_path / "big-back")

    assert filecmp.cmp(big, tmp_path / "big-back", shallow=False)
    assert_same(tree, tmp_path / "back")
    assert f"s3://{name}/big" in s3cmd("ls", f"s3://{name}").stdout
    assert "us-east-1" in s3cmd("info", f"s3://{name}").stdout
    assert "MD5 sum" in s3cmd("info", f"s3://{name}/big").stdout
    s3cmd("cp", f"s3://{name}/big", f"s3://{name}/copied")
    s3cmd("mv", f"s3://{name}/copied", f"s3://{name}/moved")
    assert str(40 * MIB) in s3cmd("ls", f"s3://{name}/moved").stdout
    s3cmd("modify", "--add-header=x-amz-meta-a:1", f"s3://{name}/moved")
    assert f"s3://{name}" in s3cmd("ls").stdout
    s3cmd("multipart", f"s3://{name}")
    s3cmd("del", "--recursive", "--force", f"s3://{name}")
    s3cmd("rb", f"s3://{name}")


def test_rclone(rclone, names, tmp_path, tree):
    name = names()
    big = tmp_path / "big"
    big.write_bytes(os.urandom(MIB) * 220)

    rclone("mkdir", f"m:{name}")
    rclone("sync", tree, f"m:{name}/tree")
    rclone("sync", f"m:{name}/tree", tmp_path / "back")
    rclone("copyto", big, f"m:{name}/big")
    rclone("copyto", f"m:{name}/big", tmp_path / "big-back")

    assert_same(tree, tmp_path / "back")
    assert filecmp.cmp(big, tmp_path / "big-back", shallow=False)
    rclone("check", tree, f"m:{name}/tree")
    assert "There was nothing to transfer" in rclone("sync", "-v", tree, f"m:{name}/tree").stderr
    rclone("copyto", f"m:{name}/big", f"m:{name}/server-side")
    sizes = json.loads(rclone("lsjson", f"m:{name}", "--hash").stdout)
    assert {entry["Name"]: entry["Size"] for entry in sizes if not entry["IsDir"]} == {
        "big": 220 * MIB,
        "server-side": 220 * MIB,
    }
    rclone("touch", f"m:{name}/big")
    assert rclone("cat", f"m:{name}/tree/names/with space").stdout == "with space"
    assert rclone("rcat", f"m:{name}/piped", input="from a pipe").returncode == 0
    assert rclone("cat", f"m:{name}/piped").stdout == "from a pipe"
    rclone("purge", f"m:{name}")
    assert name not in rclone("lsd", "m:").stdout
