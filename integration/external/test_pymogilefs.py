"""pymogilefs, whole: everything that its client and its backend can do."""

import io

import pytest
from harness.server import wait_until
from pymogilefs.backend import Backend
from pymogilefs.client import Client
from pymogilefs.exceptions import MogilefsError


@pytest.fixture
def backend(cluster):
    return Backend([f"127.0.0.1:{cluster.tracker_port}"])


@pytest.fixture
def domain(backend, names):
    name = names()
    assert backend.create_domain(name).data == {"domain": name}
    return name


@pytest.fixture
def client(cluster, domain):
    return Client([f"127.0.0.1:{cluster.tracker_port}"], domain)


def refused(code, call, *arguments, **named):
    with pytest.raises(MogilefsError) as refusal:
        call(*arguments, **named)
    assert refusal.value.code == code


@pytest.mark.parametrize("size", [0, 1, 5_000, 300_000])
def test_a_stored_file_is_read_back(client, size):
    body = bytes(index % 251 for index in range(size))

    stored = client.store_file(io.BytesIO(body), "dir/file")

    assert stored["length"] == size
    assert client.get_file("dir/file").read() == body


def test_a_file_of_a_class_is_stored_and_overwritten(backend, client, domain):
    assert backend.create_class(domain, "one", 1).data["class"] == "one"

    client.store_file(io.BytesIO(b"old"), "k", _class="one")
    client.store_file(io.BytesIO(b"new and longer"), "k", _class="one")

    assert client.get_file("k").read() == b"new and longer"
    refused("unreg_class", client.store_file, io.BytesIO(b"x"), "k", _class="nosuch")


def test_paths_are_named_and_their_count_is_that_of_the_copies(client):
    client.store_file(io.BytesIO(b"bytes"), "k")

    paths = client.get_paths("k").data

    assert paths["path_count"] == len(paths["paths"]) >= 1
    assert paths["paths"][1].startswith("http://127.0.0.1:")
    wait_until(lambda: client.get_paths("k", noverify=False).data["path_count"] == 2, 30, "the second copy")


def test_a_deleted_file_is_gone(client):
    client.store_file(io.BytesIO(b"bytes"), "k")

    client.delete_file("k")

    refused("unknown_key", client.get_paths, "k")
    refused("unknown_key", client.delete_file, "k")


def test_keys_are_listed_in_pages(client):
    assert client.list_keys().data == {"key_count": 0, "next_after": None, "keys": {}}
    for index in range(5):
        client.store_file(io.BytesIO(b"x"), f"k{index}")

    first = client.list_keys(prefix="k", limit=3).data
    second = client.list_keys(prefix="k", after=first["next_after"], limit=3).data

    assert list(first["keys"].values()) == ["k0", "k1", "k2"]
    assert first["next_after"] == "k2"
    assert list(second["keys"].values()) == ["k3", "k4"]


def test_domains_and_classes_are_managed(backend, domain):
    refused("domain_exists", backend.create_domain, domain)
    assert backend.create_class(domain, "big", 3).data == {
        "domain": domain,
        "class": "big",
        "mindevcount": "3",
    }
    refused("class_exists", backend.create_class, domain, "big", 3)
    assert backend.update_class(domain, "big", 2).data["mindevcount"] == "2"
    refused("domain_has_classes", backend.delete_domain, domain)
    assert backend.delete_class(domain, "big").data["class"] == "big"
    assert backend.delete_domain(domain).data == {"domain": domain}
    refused("domain_not_found", backend.delete_domain, domain)


def test_hosts_and_devices_are_managed(backend):
    made = backend.create_host("pynode", "127.0.8.8", 7500)
    assert made.data["name"] == "pynode"
    assert backend.update_host("pynode", "127.0.8.9", 7501).data["name"] == "pynode"
    hosts = {host["hostname"]: host for host in backend.get_hosts().data["hosts"].values()}
    assert hosts["pynode"]["hostip"] == "127.0.8.9"
    assert hosts["localhost"]["status"] == "alive"

    backend.create_device("pynode", 88, "127.0.8.9", "down")
    backend.set_weight("pynode", 88, 50)
    backend.set_state("pynode", 88, "dead")

    devices = {device["devid"]: device for device in backend.get_devices().data["devices"].values()}
    assert (devices["88"]["status"], devices["88"]["weight"]) == ("dead", "50")
    refused("host_not_empty", backend.delete_host, "pynode")
    backend.create_host("gone", "127.0.8.7", 7500)
    assert backend.delete_host("gone").data == {}
    refused("unknown_host", backend.delete_host, "gone")


def test_the_parser_of_domains_meets_only_names_that_it_knows(backend, monkeypatch):
    # It takes `domainNclassMname` alone and dies on the `domainN` that every tracker sends, the original too.
    from pymogilefs.backend import GetDomainsConfig

    seen = []
    monkeypatch.setattr(GetDomainsConfig, "parse_response_text", classmethod(lambda _, text: seen.append(text)))
    backend.create_domain("pydomains")
    backend.get_domains()

    pairs = dict(pair.split("=") for pair in seen[0].split("&"))
    number = next(name for name, value in pairs.items() if value == "pydomains")
    assert pairs[f"{number}classes"] == "1"
    assert pairs[f"{number}class1name"] == "default"
