"""Against a real API server: `KUBEBUILDER_ASSETS=FOLDER pytest -m slow tests/systems/copilot/test_real_cluster.py`.

The folder holds `kube-apiserver` and `etcd`, as `setup-envtest use -p path` prints one. The API server is the real one:
sign-in, roles, lists and pages, the parameters of a log, and what is said where there is none. There is no node: what
the server asks a kubelet for is answered by the tests' own one. The collector signs in as the service account of
`deploy/kubernetes`, with the role from there, and nothing more.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from groundup.systems.copilot.errors import ClusterError
from groundup.systems.copilot.sources import cluster as module
from groundup.systems.copilot.sources.cluster import Cluster, NoLog, connect
from groundup.systems.copilot.sources.collect import Collected, collect, store_streamed
from groundup.systems.copilot.sources.streams import Streams
from groundup.systems.copilot.store import open_store
from tests.systems.copilot.apiserver import START, ApiServer, Container, Instance, event, numbered, serve

ASSETS = Path(os.environ.get("KUBEBUILDER_ASSETS", "/nowhere"))
RBAC = Path(__file__).parents[3] / "deploy" / "kubernetes"
SECOND = 10**9

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ASSETS / "kube-apiserver").exists(), reason="KUBEBUILDER_ASSETS names no kube-apiserver"),
]


class Kubelet(ApiServer):
    """The logs of a node, as the API server asks its kubelet for them."""

    def answer(self, path: str, query: dict[str, str], token: str) -> tuple[int, dict[str, str], bytes]:
        self.requests.append((path, query))
        _, kind, namespace, pod, container = path.split("/")
        assert kind == "containerLogs"
        return self._log(namespace, pod, query | {"container": container})

    def later(self, path: str, query: dict[str, str]) -> Iterator[bytes]:
        _, _, namespace, pod, container = path.split("/")
        return super().later(f"/{namespace}/pods/{pod}/log", query | {"container": container})


@dataclass
class Server:
    """The API server as its administrator, and the node behind it."""

    url: str
    certificate: Path
    node: Kubelet
    http: urllib3.PoolManager

    def send(self, method: str, path: str, document: Any = None, kind: str = "application/json") -> dict[str, Any]:
        headers = {"Authorization": "Bearer admin", "Content-Type": kind}
        answer = self.http.request(method, self.url + path, body=json.dumps(document), headers=headers)
        assert answer.status < 300, answer.data
        return answer.json()

    def make(self, path: str, document: dict[str, Any]) -> None:
        """Create an object, its status too."""
        made = self.send("POST", path, document)
        if "status" in document:
            self.set_status(f"{path}/{made['metadata']['name']}", document["status"])

    def set_status(self, path: str, status: dict[str, Any]) -> None:
        self.send("PATCH", f"{path}/status", {"status": status}, "application/merge-patch+json")

    def show(self, namespace: str = "shop") -> None:
        """Tell of the node's pods as its kubelet would."""
        for pod in self.node.pods:
            path, document = f"/api/v1/namespaces/{namespace}/pods", pod.document()
            for one in document["spec"].get("containers", []):
                one["image"] = "none"
            document["spec"]["nodeName"] = "node" if pod.scheduled else ""
            document["metadata"].pop("uid")
            status = document["status"]
            status.setdefault("containerStatuses", [])
            for one in status["containerStatuses"]:
                one |= {"image": "none", "imageID": "", "ready": True}
            if self.http.request("GET", f"{self.url}{path}/{pod.name}", headers=ADMIN).status == 404:
                self.make(path, document)
            else:
                self.set_status(f"{path}/{pod.name}", status)


ADMIN = {"Authorization": "Bearer admin"}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """etcd and kube-apiserver, on free ports of loopback."""
    folder = tmp_path_factory.mktemp("control-plane")
    ports = {name: free_port() for name in ("etcd", "peer", "api")}
    subprocess.run(["openssl", "genrsa", "-out", folder / "sa.key", "2048"], check=True, capture_output=True)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=node", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", folder / "node.key", "-out", folder / "node.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "tokens.csv").write_text('admin,admin,1,"system:masters"\n')
    etcd = f"http://127.0.0.1:{ports['etcd']}"
    peer = f"http://127.0.0.1:{ports['peer']}"
    commands = [
        [
            ASSETS / "etcd", "--data-dir", folder / "etcd", "--listen-client-urls", etcd,
            "--advertise-client-urls", etcd, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"default={peer}",
        ],
        [
            ASSETS / "kube-apiserver", "--etcd-servers", etcd, "--cert-dir", folder / "certs",
            "--bind-address", "127.0.0.1", "--secure-port", ports["api"], "--authorization-mode", "RBAC",
            "--token-auth-file", folder / "tokens.csv", "--service-account-issuer", "https://test",
            "--service-account-key-file", folder / "sa.key", "--service-account-signing-key-file", folder / "sa.key",
            "--service-cluster-ip-range", "10.96.0.0/24", "--kubelet-preferred-address-types", "InternalIP",
            "--disable-admission-plugins", "ServiceAccount",
        ],
    ]  # fmt: skip
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "node.crt", folder / "node.key")
    with (folder / "log").open("wb") as log, serve(Kubelet(), tls) as node:
        assert isinstance(node, Kubelet)
        running = [subprocess.Popen([str(one) for one in command], stdout=log, stderr=log) for command in commands]
        try:
            certificate = folder / "certs" / "apiserver.crt"
            url = f"https://127.0.0.1:{ports['api']}"
            end = time.monotonic() + 120
            while True:
                assert time.monotonic() < end, (folder / "log").read_text()[-4000:]
                time.sleep(0.5)
                if not certificate.exists():
                    continue
                http = urllib3.PoolManager(ca_certs=str(certificate), retries=False)
                try:
                    if http.request("GET", f"{url}/readyz", headers=ADMIN).status == 200:
                        break
                except urllib3.exceptions.HTTPError:
                    continue
            server = Server(url, certificate, node, http)
            endpoint = {"kubeletEndpoint": {"Port": int(node.url.rsplit(":", 1)[1])}}
            addresses = [{"type": "InternalIP", "address": "127.0.0.1"}]
            status = {"addresses": addresses, "daemonEndpoints": endpoint}
            server.make("/api/v1/nodes", {"metadata": {"name": "node"}, "status": status})
            for name in ("namespace.yaml", "rbac.yaml"):
                for document in yaml.safe_load_all((RBAC / name).read_text(encoding="utf-8")):
                    server.make(PLACES[document["kind"]], document)
            server.make("/api/v1/namespaces", {"metadata": {"name": "shop"}})
            yield server
        finally:
            for process in reversed(running):
                process.terminate()
                process.wait(30)


ROLES = "/apis/rbac.authorization.k8s.io/v1"
PLACES = {
    "Namespace": "/api/v1/namespaces", "ServiceAccount": "/api/v1/namespaces/groundup-copilot/serviceaccounts",
    "ClusterRole": f"{ROLES}/clusterroles", "ClusterRoleBinding": f"{ROLES}/clusterrolebindings",
}  # fmt: skip


@pytest.fixture
def server(control_plane: Server) -> Iterator[Server]:
    yield control_plane
    control_plane.node.pods.clear()
    control_plane.node.breaks += 1
    for kind in ("pods", "events"):
        control_plane.send("DELETE", f"/api/v1/namespaces/shop/{kind}", {"gracePeriodSeconds": 0})


@pytest.fixture
def cluster(server: Server, tmp_path: Path) -> Cluster:
    """The cluster, as the collector's service account may see it."""
    account = f"{PLACES['ServiceAccount']}/copilot-collector/token"
    token = server.send("POST", account, {"spec": {"audiences": ["https://test"]}})["status"]["token"]
    return connect(kubeconfig(server, tmp_path, token), wait=lambda seconds: bool(time.sleep(seconds)))


def kubeconfig(server: Server, folder: Path, token: str) -> str:
    where = {"server": server.url, "certificate-authority": str(server.certificate)}
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": "real",
        "clusters": [{"name": "real", "cluster": where}],
        "users": [{"name": "collector", "user": {"token": token}}],
        "contexts": [{"name": "real", "context": {"cluster": "real", "user": "collector", "namespace": "shop"}}],
    }  # fmt: skip
    path = folder / "kubeconfig"
    path.write_text(json.dumps(document))
    return str(path)


@pytest.fixture
def again(cluster: Cluster, tmp_path: Path) -> Callable[..., Collected]:
    def round(**settings: Any) -> Collected:
        return collect(tmp_path / "copilot.duckdb", cluster, **{"namespace": "shop", **settings})

    return round


def stored(folder: Path) -> dict[str, list[str]]:
    with open_store(folder / "copilot.duckdb", reading=True) as store:
        return {f"{one.name}#{one.restart}": store.texts(one) for one in store.sources() if one.kind == "container"}


def web(server: Server, name: str = "checkout-1", **settings: Any) -> Instance:
    return server.node.pod(name, [Container("web")], **settings).containers[0].now


def test_only_what_is_new_comes_from_every_container(server: Server, again: Callable, tmp_path: Path) -> None:
    first, second = server.node.pod("checkout-1", [Container("web"), Container("side")]).containers
    first.now.write(START, *numbered(0, 50))
    second.now.write(START, "tick", "tick", b"caf\xc3\xa9 \xff")
    server.show()
    assert again().lines == 53
    first.now.write(START, *numbered(50, 60))  # in the second that was asked for, at the same time
    second.now.write(START + 5 * SECOND, "tick")
    assert again().lines == 11
    assert again().lines == 0
    side = ["tick", "tick", "caf\u00e9 \ufffd", "tick"]
    assert stored(tmp_path) == {"shop/checkout-1/web#0": numbered(0, 60), "shop/checkout-1/side#0": side}
    since = [query["sinceTime"] for _, query in server.node.requests if "sinceTime" in query]
    assert since, "the API server passes it on"


def test_after_a_restart_the_run_before_is_read_to_its_end(server: Server, again: Callable, tmp_path: Path) -> None:
    container = server.node.pod("checkout-1", [Container("web")]).containers[0]
    container.now.write(START, *numbered(0, 5))
    server.show()
    again()
    container.now.write(START + 2 * SECOND, *numbered(5, 9))
    container.restart(START + 9 * SECOND).write(START + 10 * SECOND, *numbered(100, 103))
    server.show()
    again()
    assert stored(tmp_path) == {"shop/checkout-1/web#0": numbered(0, 9), "shop/checkout-1/web#1": numbered(100, 103)}


def test_what_there_is_no_log_of(server: Server, again: Callable, cluster: Cluster) -> None:
    server.node.pod("unscheduled", [Container("web", instances=[])], scheduled=False)
    server.node.pod("starting", [Container("web", instances=[])])
    server.node.pod("two", [Container("a"), Container("b")])
    server.show()
    notes = again().notes
    assert notes["shop/unscheduled/web"] == "the pod has not been scheduled to a node"
    assert "waiting to start" in notes["shop/starting/web"]
    with pytest.raises(NoLog, match=r"a container name must be specified for pod two, choose one of: \[a b\]"):
        cluster.log("shop", "two", "")
    with pytest.raises(NoLog, match="not found"):
        cluster.log("shop", "gone", "web")


def test_the_server_refuses_both_since_parameters(server: Server, cluster: Cluster) -> None:
    web(server).write(START, "INFO fine")
    server.show()
    path = f"{server.url}/api/v1/namespaces/shop/pods/checkout-1/log?sinceSeconds=5&sinceTime=2026-01-01T00:00:00Z"
    answer = server.http.request("GET", path, headers=ADMIN)
    assert answer.status == 422
    assert "at most one of `sinceTime` or `sinceSeconds`" in answer.json()["message"]


def test_events_selectors_and_pages(
    server: Server, again: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    for i in range(5):
        web(server, f"p-{i}", labels={"app": f"a{i % 2}"}).write(START, f"INFO {i}")
    server.show()
    for i in range(5):
        document = event(f"e-{i}", START + i * SECOND, pod=f"p-{i}")
        document["metadata"] = {"name": f"e-{i}", "namespace": "shop"}
        document["involvedObject"]["namespace"] = "shop"
        server.make("/api/v1/namespaces/shop/events", document)
    done = again(selector="app=a1")
    assert (done.pods, done.events, done.lines) == (2, 2, 4)
    done = again(namespace=None)
    assert (done.pods, done.events) == (5, 3)
    assert len(stored(tmp_path)) == 5


def test_a_log_is_followed_over_a_rotation(server: Server, again: Callable, cluster: Cluster, tmp_path: Path) -> None:
    run = web(server)
    run.write(START, *numbered(0, 5))
    server.show()
    streams = Streams(cluster)
    again(streams=streams)
    (stream,) = streams.open.values()
    with server.node.lock:
        run.write(START + 5 * SECOND, *numbered(5, 90))
    end = time.monotonic() + 120
    while len(stream._lines) < 90:  # the five that are stored come again
        assert time.monotonic() < end
        time.sleep(0.05)
    run.rotated = len(run.lines)
    assert store_streamed(tmp_path / "copilot.duckdb", cluster, streams) == 85
    streams.close()
    assert stored(tmp_path) == {"shop/checkout-1/web#0": numbered(0, 90)}


def test_the_role_allows_that_and_nothing_else(server: Server, cluster: Cluster, tmp_path: Path) -> None:
    rule = "get and list on pods, pods/log and events"
    for path in ("/api/v1/secrets", "/api/v1/nodes", "/api/v1/namespaces/shop/configmaps"):
        with pytest.raises(ClusterError, match=rf"refuses \(403\): .* cannot list resource.*{rule}"):
            cluster._get(path, {})
    with pytest.raises(ClusterError, match=r"must accept the credentials, and '.*' does not \(401\): Unauthorized"):
        connect(kubeconfig(server, tmp_path, "forged"), wait=lambda _: True).pods("shop")
