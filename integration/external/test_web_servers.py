"""Web servers in front: nginx with the recipe of docs/web-servers.md, what Perlbal is told, what nginx-mogilefs-module sends."""

import os
import re
import subprocess
import urllib.request

import pytest
from conftest import boto
from harness.server import ROOT, Server, wait_until
from harness.store import StoreNode
from harness.tracker import LineClient
from harness.wire import Wire

PAGE = ROOT / "docs" / "web-servers.md"
BODY = bytes(index % 251 for index in range(300_000))


def recipe(words):
    """The nginx block of the page that contains these words."""
    blocks = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.S)
    return next(block for block in blocks if words in block)


class Nginx:
    """nginx from Debian in front of a server, configured as the page says."""

    def __init__(self, folder, port, server, config):
        self.port, self.folder = port, folder
        config = config.replace("listen 80;", f"listen 127.0.0.1:{port};")
        config = config.replace("http://127.0.0.1:9000", f"http://127.0.0.1:{server.s3_port}")
        folder.mkdir()
        (folder / "nginx.conf").write_text(
            "\n".join(
                [
                    "daemon off;",
                    "worker_processes 1;",
                    f"pid {folder}/pid;",
                    f"error_log {folder}/error.log info;",
                    "events { worker_connections 256; }",
                    "http {",
                    "log_format upstream '$request_method $request_uri $status $upstream_addr';",
                    f"access_log {folder}/access.log upstream;",
                    *(
                        f"{kind}_temp_path {folder}/{kind};"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
                    ),
                    config,
                    "}",
                ]
            )
        )
        path = os.environ["PATH"] + ":/usr/sbin"
        command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
        self.process = subprocess.Popen(command, env={**os.environ, "PATH": path})
        self.s3_port, self.scheme, self.tls = port, "http", None
        self.endpoint = f"http://127.0.0.1:{port}"
        wait_until(self.listens, 20, f"nginx (see {folder}/error.log)")

    def listens(self):
        assert self.process.poll() is None, (self.folder / "error.log").read_text()
        try:
            urllib.request.urlopen(self.endpoint, timeout=2)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def accesses(self):
        return (self.folder / "access.log").read_text().splitlines()

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def server(scratch, ports):
    """Two nodes with a device each; every object is on both."""
    accel = {"MOGUL_S3_ACCEL": "x-accel-redirect"}
    running = Server(scratch / "accel", ports, devices=1, arguments=["--copies", "2"], environment=accel)
    node = StoreNode(scratch / "node2", ports, "127.0.0.2", devices=(7,)).start()
    running.start(wait=False)
    wait_until(lambda: running.health("live") == 200, 30, "the server")
    with LineClient(running.tracker_port) as tracker:
        tracker.must("create_host", host="node2", ip=node.address, port=node.port, status="alive")
        tracker.must("create_device", devid=7, hostname="node2")
        wait_until(lambda: b"observed_state=writeable" in seen(tracker, 7), 30, "the second device")
    yield running
    running.stop()
    node.stop()


def seen(tracker, device):
    return tracker.must("get_devices", devid=device).raw


@pytest.fixture(scope="module")
def nginx(scratch, ports, server):
    running = Nginx(scratch / "nginx", ports.take(), server, recipe("X-Proxy-Capabilities"))
    yield running
    running.stop()


@pytest.fixture
def s3(nginx):
    return boto(nginx)


def node_reads(nginx, bucket):
    """How many bodies of a bucket nginx has fetched from storage nodes: behind the gateway, the log has a second address."""
    return sum(f"/{bucket}/" in line and " : " in line for line in nginx.accesses())


def test_nginx_fetches_a_whole_object_from_the_node_and_every_header_is_the_gateways(nginx, server, s3, bucket):
    direct = boto(server)
    stored = {"ContentType": "image/png", "CacheControl": "max-age=60", "ContentLanguage": "de"}
    direct.put_object(Bucket=bucket, Key="dir/a b&c.png", Body=BODY, **stored)

    through = s3.get_object(Bucket=bucket, Key="dir/a b&c.png")
    body = through["Body"].read()

    assert body == BODY
    plain = direct.get_object(Bucket=bucket, Key="dir/a b&c.png")
    for name in ["ETag", "LastModified", "ContentType", "CacheControl", "ContentLanguage", "ContentLength", "ChecksumCRC32"]:
        assert through[name] == plain[name], name
    wait_until(lambda: node_reads(nginx, bucket) == 1, 10, "the log of nginx")


def test_conditions_and_ranges_stay_right_through_nginx(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=BODY)["ETag"]

    def status(**conditions):
        try:
            return s3.get_object(Bucket=bucket, Key="k", **conditions)["ResponseMetadata"]["HTTPStatusCode"]
        except s3.exceptions.ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"]

    assert status(IfNoneMatch=etag) == 304
    assert status(IfMatch='"0"') == 412
    assert status(IfMatch=etag) == 200
    assert status(IfNoneMatch='"0"') == 200
    for text, wanted in {
        "bytes=0-9": BODY[:10],
        "bytes=-3": BODY[-3:],
        "bytes=299990-": BODY[-10:],
    }.items():
        answer = s3.get_object(Bucket=bucket, Key="k", Range=text)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert answer["Body"].read() == wanted
    assert status(Range="bytes=300000-") == 416


def test_what_nginx_would_drop_is_served_by_the_gateway(nginx, server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, Metadata={"colour": "red"})

    answer = s3.get_object(Bucket=bucket, Key="k")

    assert (answer["Metadata"], answer["Body"].read()) == ({"colour": "red"}, BODY)
    assert node_reads(nginx, bucket) == 0


def test_a_multipart_object_comes_through_nginx_before_and_after_it_is_joined(s3, server, bucket):
    part = os.urandom(5 << 20)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    parts = []
    for number in (1, 2):
        etag = s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=number, Body=part)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload={"Parts": parts})

    assert s3.get_object(Bucket=bucket, Key="m")["Body"].read() == part * 2
    wait_until(lambda: not server.rows("select count(*) from mogul_join")[0][0], 60, "the join")
    assert s3.get_object(Bucket=bucket, Key="m")["Body"].read() == part * 2


def test_nothing_is_handed_over_before_the_client_is_known(nginx, server, bucket):
    boto(server).put_object(Bucket=bucket, Key="k", Body=BODY)

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{nginx.endpoint}/{bucket}/k", timeout=10)

    assert refused.value.code == 403
    with pytest.raises(urllib.error.HTTPError) as hidden:
        path = f"/mogul-node/127.0.0.1:{server.storage_port}/dev1/0/000/000/0000000001.fid"
        urllib.request.urlopen(f"{nginx.endpoint}{path}", timeout=10)
    assert hidden.value.code in (403, 404)
    assert node_reads(nginx, bucket) == 0


def test_a_client_that_comes_without_the_web_server_gets_its_bytes(server, bucket):
    direct = boto(server)
    direct.put_object(Bucket=bucket, Key="k", Body=BODY)

    answer = direct.get_object(Bucket=bucket, Key="k")

    assert answer["Body"].read() == BODY
    assert "x-accel-redirect" not in answer["ResponseMetadata"]["HTTPHeaders"]


def test_perlbal_is_told_every_copy_and_the_size(new_server, names):
    server = new_server(environment={"MOGUL_S3_ACCEL": "x-reproxy-url"})
    s3, name = boto(server), names()
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=BODY, Metadata={"colour": "red"})

    asked = [("x-proxy-capabilities", "reproxy-file")]
    answer = Wire(server).request("GET", f"/{name}/k", headers=asked)

    assert (answer.status, answer.body) == (200, b"")
    urls = answer.headers["x-reproxy-url"].split()
    assert len(urls) == 2
    assert all(urllib.request.urlopen(url, timeout=10).read() == BODY for url in urls)
    assert answer.headers["x-reproxy-expected-size"] == str(len(BODY))
    assert answer.headers["x-amz-meta-colour"] == "red"


def test_what_nginx_mogilefs_module_sends_is_answered_as_it_can_read_it(server, names):
    domain = names()
    with LineClient(server.tracker_port) as tracker:
        tracker.must("create_domain", domain=domain)
        tracker.must("create_class", domain=domain, class_="class0", mindevcount=1)
        tracker.store(domain, "/files/index.html", b"<h1>hello</h1>")

        # GET and HEAD, as recorded: the key first, a slash as it is.
        found = tracker.line(f"get_paths key=/files/index.html&domain={domain}")
        missing = tracker.line(f"get_paths key=nosuch.png&domain={domain}")
        unknown = tracker.line("get_paths key=x&domain=nosuch")
        # PUT: a key with & arrives as another pair; without multi_dest it needs fid, devid and path.
        opened = tracker.line(f"create_open key=dir/put%20me&x.html&domain={domain}&class=class0")
        deleted = tracker.line(f"delete key=nosuch&domain={domain}")

    assert re.fullmatch(rb"OK paths=\d(&path\d=http://127\.0\.0\.[12]:\d+/dev\d[\d/]+\.fid)+\r\n", found.raw)
    assert missing.raw.startswith(b"ERR unknown_key ")
    assert unknown.raw.startswith(b"ERR unreg_domain ")
    assert set(opened.pairs) == {"fid", "devid", "path"}
    assert deleted.raw.startswith(b"ERR unknown_key ")
    for answer in (found, opened):
        assert b"&&" not in answer.raw and not answer.raw.startswith(b"OK &")
