"""Clouds that are played by a server on this machine."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from reglab.errors import UserError
from reglab.settings import settings
from reglab.sweep import notice


class Cloud(BaseHTTPRequestHandler):
    """Answers as GCP and AWS do inside a machine; `taken` says whether it is to be taken back."""

    def do_GET(self):
        self.server.asked += 1
        if self.path == "/computeMetadata/v1/instance/preempted" and self.headers["Metadata-Flavor"] == "Google":
            self.answer(200, "TRUE" if self.server.taken else "FALSE")
        elif self.path == "/latest/meta-data/spot/instance-action" and self.headers["X-aws-ec2-metadata-token"] == "token":
            self.answer(200, '{"action": "terminate"}') if self.server.taken else self.answer(404, "not found")
        else:
            self.answer(403, "TRUE")

    def do_PUT(self):
        asks = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self.answer(200, "token") if asks else self.answer(403, "no")

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *words):
        pass


@pytest.fixture
def cloud():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    server.taken, server.asked = False, 0
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def configure(monkeypatch, value):
    monkeypatch.setenv("REGLAB_METADATA", value)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # which must not be used
    settings.cache_clear()


@pytest.mark.parametrize("name", ["gcp", "aws"])
def test_the_notice_is_heard_once_it_is_there(monkeypatch, cloud, name):
    monkeypatch.setattr(notice, "POLL_SECONDS", 0.05)
    configure(monkeypatch, f"{name}@http://127.0.0.1:{cloud.server_address[1]}/")
    heard = threading.Event()
    with notice.Watch(heard.set):
        while cloud.asked < 3:
            assert not heard.wait(0.05)
        cloud.taken = True
        assert heard.wait(20)


def test_an_answer_that_is_cut_short_ends_no_watch(monkeypatch, cloud):
    def cut(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(text.encode())

    monkeypatch.setattr(notice, "POLL_SECONDS", 0.05)
    configure(monkeypatch, f"gcp@http://127.0.0.1:{cloud.server_address[1]}")
    monkeypatch.setattr(Cloud, "answer", cut)
    heard = threading.Event()
    with notice.Watch(heard.set):
        while cloud.asked < 2:
            assert not heard.wait(0.05)
        monkeypatch.undo()
        configure(monkeypatch, "off")
        cloud.taken = True
        assert heard.wait(20)


def test_a_cloud_that_does_not_answer_is_no_notice(monkeypatch):
    monkeypatch.setattr(notice, "POLL_SECONDS", 0.05)
    configure(monkeypatch, "gcp@http://127.0.0.1:1")
    heard = threading.Event()
    with notice.Watch(heard.set):
        assert not heard.wait(0.5)


@pytest.mark.parametrize(
    ("vendor", "address"),
    [("Google\n", "http://metadata.google.internal"), ("Amazon EC2\n", "http://169.254.169.254"), ("Dell Inc.\n", None), (None, None)],
)
def test_the_cloud_is_the_one_that_made_the_machine(monkeypatch, tmp_path, vendor, address):
    configure(monkeypatch, "auto")
    if vendor:
        (tmp_path / "vendor").write_text(vendor)
    monkeypatch.setattr(notice, "_VENDOR", tmp_path / "vendor")
    found = notice.cloud()
    assert (found and found[0]) == address


def test_it_can_be_switched_off(monkeypatch, tmp_path):
    (tmp_path / "vendor").write_text("Google")
    monkeypatch.setattr(notice, "_VENDOR", tmp_path / "vendor")
    configure(monkeypatch, "off")
    assert notice.cloud() is None


def test_a_cloud_that_nobody_knows_is_refused(monkeypatch):
    configure(monkeypatch, "azure")
    with pytest.raises(UserError, match="REGLAB_METADATA"):
        notice.cloud()
