"""CIFAR-10: downloaded whole or not at all, from servers of any kind, and never waited for without an end."""

import contextlib
import gzip
import hashlib
import io
import os
import pickle
import shutil
import signal
import socket
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from reglab.config import DataConfig
from reglab.data import published, sources, waiting
from tests.data.test_sources import cache as cache
from tests.data.test_sources import leftovers, refusal, same

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def batch(name, seed, count):
    draws = np.random.default_rng(seed)
    return {
        "batch_label": name,
        "labels": draws.integers(0, 10, count).tolist(),
        "data": draws.integers(0, 256, (count, 3072), dtype=np.uint8),
        "filenames": [f"{number}.png" for number in range(count)],
    }


def as_images(rows):
    """(N, 3072), plane after plane, as (N, 32, 32, 3)."""
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """A small archive laid out as the real one, served from this machine, with torchvision pointed at it."""
    from torchvision.datasets import CIFAR10

    contents = {f"data_batch_{number}": batch(f"training batch {number}", number, 3) for number in range(1, 6)}
    contents |= {
        "test_batch": batch("testing batch", 6, 4),
        "batches.meta": {"num_cases_per_batch": 3, "label_names": NAMES, "num_vis": 3072},
    }
    files = {name: pickle.dumps(value) for name, value in contents.items()}
    served = tmp_path / "served"
    served.mkdir()
    with tarfile.open(served / CIFAR10.filename, "w:gz") as archive:
        for name, blob in files.items():
            member = tarfile.TarInfo(f"{CIFAR10.base_folder}/{name}")
            member.size = len(blob)
            archive.addfile(member, io.BytesIO(blob))
    sums = {name: hashlib.md5(blob).hexdigest() for name, blob in files.items()}
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in files if name.startswith("data")])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]})
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5((served / CIFAR10.filename).read_bytes()).hexdigest())
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served)))
    monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/{CIFAR10.filename}")
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()

    def stop():
        server.shutdown()
        server.server_close()
        thread.join()

    yield SimpleNamespace(dataset=CIFAR10, contents=contents, archive=served / CIFAR10.filename, stop=stop)
    stop()


def load_cifar(cache, **keys):
    return sources.load(DataConfig(**keys), cache)


def test_cifar10_is_downloaded_and_read(cifar, cache):
    found = load_cifar(cache)
    training = [cifar.contents[f"data_batch_{number}"] for number in range(1, 6)]
    assert found.name == "CIFAR-10" and found.classes == tuple(NAMES)
    assert found.train.images.dtype == np.uint8 and found.train.labels.dtype == np.int64
    assert np.array_equal(found.train.images, as_images(np.vstack([b["data"] for b in training])))
    assert found.train.labels.tolist() == [label for b in training for label in b["labels"]]
    assert np.array_equal(found.test.images, as_images(cifar.contents["test_batch"]["data"]))
    assert found.test.labels.tolist() == cifar.contents["test_batch"]["labels"]


def test_a_second_load_of_cifar10_needs_no_server(cifar, cache):
    first = load_cifar(cache, train_limit=10)
    cifar.stop()
    shutil.rmtree(cache / "downloads")
    second = load_cifar(cache, train_limit=10)
    assert same(first.train, second.train) and same(first.test, second.test) and first.fingerprint == second.fingerprint


def test_the_first_load_lays_images_out_as_the_second_does(cifar, cache):
    for found in (load_cifar(cache), load_cifar(cache)):
        assert found.train.images.flags.c_contiguous and found.test.images.flags.c_contiguous


def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def assert_names_the_mend(line, cifar, cache):
    assert line.startswith("CIFAR-10 could not be downloaded (")
    assert f"put {cifar.dataset.filename} into {cache / 'downloads'}" in line
    assert "data.source=digits" in line and "data.folder" in line
    assert not leftovers(cache)


def test_a_wrong_checksum_is_refused_and_mended_by_the_right_archive(cifar, cache):
    good = cifar.archive.read_bytes()
    cifar.archive.write_bytes(good[:-10])
    line = refusal(load_cifar, cache)
    assert_names_the_mend(line, cifar, cache)
    assert "corrupted" in line
    cifar.archive.write_bytes(good)
    assert len(load_cifar(cache).train) == 15


def test_a_refused_connection_is_mended_by_the_archive_in_place(cifar, cache, monkeypatch):
    monkeypatch.setattr(cifar.dataset, "url", f"http://127.0.0.1:{closed_port()}/{cifar.dataset.filename}")
    line = refusal(load_cifar, cache)
    assert_names_the_mend(line, cifar, cache)
    assert "refused" in line.lower()
    shutil.copy(cifar.archive, cache / "downloads")
    assert len(load_cifar(cache).train) == 15


def test_a_missing_page_is_refused(cifar, cache, monkeypatch):
    monkeypatch.setattr(cifar.dataset, "url", cifar.dataset.url + ".gone")
    assert_names_the_mend(refusal(load_cifar, cache), cifar, cache)


def test_an_answer_that_is_not_http_is_refused(cifar, cache, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"log in first\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        monkeypatch.setattr(cifar.dataset, "url", f"http://127.0.0.1:{server.getsockname()[1]}/{cifar.dataset.filename}")
        line = refusal(load_cifar, cache)
    assert_names_the_mend(line, cifar, cache)


class Server:
    """Answers each connection by `answer(socket, request)`, on a port of this machine."""

    def __init__(self, answer):
        self._answer, self.requests, self._open = answer, [], []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with contextlib.suppress(OSError):
            self.requests.append(connection.recv(65536).decode())
            self._answer(connection, self.requests[-1])

    def close(self):
        for each in [self._server, *self._open]:
            each.close()


@pytest.fixture
def serve():
    servers = []

    def start(answer):
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def say_nothing(connection, request):
    pass


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(published, "SILENCE_SECONDS", 0.2)


def test_a_server_that_says_nothing_is_given_up(cifar, cache, serve, impatient, monkeypatch):
    monkeypatch.setattr(cifar.dataset, "url", f"http://{serve(say_nothing).address}/{cifar.dataset.filename}")
    line = refusal(load_cifar, cache)
    assert_names_the_mend(line, cifar, cache)
    assert "127.0.0.1 said nothing for 0.2 seconds" in line


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_says_nothing_is_given_up_by_name(cifar, cache, serve, impatient, monkeypatch, scheme):
    proxy = f"http://{serve(say_nothing).address}"
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(f"{scheme}_proxy", proxy)
    monkeypatch.setattr(cifar.dataset, "url", f"{scheme}://example.invalid/{cifar.dataset.filename}")
    assert f"{proxy} said nothing for 0.2 seconds" in refusal(load_cifar, cache)


def test_a_server_that_falls_silent_in_the_middle_is_given_up(cifar, cache, serve, impatient, monkeypatch):
    blob = cifar.archive.read_bytes()

    def begin(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(blob) + blob[:100])

    monkeypatch.setattr(cifar.dataset, "url", f"http://{serve(begin).address}/{cifar.dataset.filename}")
    assert "said nothing for 0.2 seconds" in refusal(load_cifar, cache)
    assert not (cache / "downloads" / cifar.dataset.filename).exists()


class AskedError(BaseException):
    pass


def test_a_wait_is_told_of_and_ends_as_a_signal_is_heard(cifar, cache, serve, monkeypatch):
    def ask(number, frame):
        raise AskedError

    told = []

    def tell(line):
        told.append(line)
        os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr(waiting, "FIRST_LINE_SECONDS", 0)
    monkeypatch.setattr(waiting, "say", tell)
    monkeypatch.setattr(cifar.dataset, "url", f"http://{serve(say_nothing).address}/{cifar.dataset.filename}")
    before = signal.signal(signal.SIGUSR1, ask)
    try:
        with pytest.raises(AskedError):
            load_cifar(cache)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert told == [f"downloading {cifar.dataset.filename} from 127.0.0.1: 0.0 MB are here"]
    assert not list(cache.rglob("*.alive"))
    cifar.archive.replace(cache / "downloads" / cifar.dataset.filename)
    assert len(load_cifar(cache).train) == 15  # the lock is free


def in_parts(blob, at, answers_ranges):
    """Breaks off after `at` bytes, the first time; then serves the rest, or all of it again."""

    def answer(connection, request):
        from_ = next((int(line.split("=")[1].rstrip("-")) for line in request.splitlines() if line.lower().startswith("range:")), None)
        if from_ is not None and answers_ranges:
            head, body = b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n\r\n" % (len(blob) - from_), blob[from_:]
        else:
            head, body = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(blob), blob if from_ is not None else blob[:at]
        connection.sendall(head + body)
        connection.shutdown(socket.SHUT_RDWR)

    return answer


@pytest.mark.parametrize("answers_ranges", [True, False], ids=["serves the rest", "serves all again"])
def test_a_download_that_broke_off_goes_on(cifar, cache, serve, monkeypatch, answers_ranges):
    server = serve(in_parts(cifar.archive.read_bytes(), 150, answers_ranges))
    monkeypatch.setattr(cifar.dataset, "url", f"http://{server.address}/{cifar.dataset.filename}")
    assert "the server broke off" in refusal(load_cifar, cache)
    assert not (cache / "downloads" / cifar.dataset.filename).exists()
    assert len(load_cifar(cache).train) == 15
    assert "Range: bytes=150-" in server.requests[1]
    assert not list(cache.rglob("*.part"))


@pytest.mark.parametrize("left", [b"of another file", b"x" * 10**6], ids=["shorter", "longer"])
def test_what_is_left_of_another_download_is_begun_again(cifar, cache, serve, monkeypatch, left):
    blob, downloads = cifar.archive.read_bytes(), cache / "downloads"
    downloads.mkdir(parents=True)
    (downloads / f"{cifar.dataset.filename}.part").write_bytes(left)

    def answer(connection, request):
        if "Range:" not in request:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(blob) + blob)
        elif len(left) < len(blob):
            rest = blob[len(left) :]
            connection.sendall(b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n\r\n" % len(rest) + rest)
        else:
            connection.sendall(b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setattr(cifar.dataset, "url", f"http://{serve(answer).address}/{cifar.dataset.filename}")
    assert len(load_cifar(cache).train) == 15


@pytest.mark.parametrize(
    "damage", [lambda blob: blob[:100], lambda blob: b"", lambda blob: b"x" * len(blob)], ids=["cut", "empty", "other"]
)
def test_a_damaged_archive_is_not_here_and_is_replaced(cifar, cache, damage):
    archive = cache / "downloads" / cifar.dataset.filename
    assert not published.is_here("cifar10", cache)
    archive.parent.mkdir(parents=True)
    archive.write_bytes(damage(cifar.archive.read_bytes()))
    assert str(archive) in refusal(published.is_here, "cifar10", cache)
    assert len(load_cifar(cache).train) == 15
    assert archive.read_bytes() == cifar.archive.read_bytes() and published.is_here("cifar10", cache)


def test_a_whole_archive_is_here(cifar, cache):
    (cache / "downloads").mkdir(parents=True)
    shutil.copy(cifar.archive, cache / "downloads")
    assert published.is_here("cifar10", cache)


def test_a_decoded_set_is_here_unless_it_is_damaged(cifar, cache):
    load_cifar(cache)
    shutil.rmtree(cache / "downloads")
    assert published.is_here("cifar10", cache)
    (stored,) = cache.rglob("*.npz")
    stored.write_bytes(stored.read_bytes()[:-100])
    assert not published.is_here("cifar10", cache)


def test_an_unpacked_archive_needs_no_server(cifar, cache):
    load_cifar(cache)
    cifar.stop()
    for path in [*cache.rglob("*.npz"), cache / "downloads" / cifar.dataset.filename]:
        path.unlink()
    assert len(load_cifar(cache).train) == 15


# --- other sets that torchvision knows: small files in its own layout ----------------------------------------------------------


def md5_of(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def a_cifar100(downloads, monkeypatch):
    from torchvision.datasets import CIFAR100

    names = [f"class {number}" for number in range(100)]
    content = {}
    for name, seed, count in (("train", 1, 7), ("test", 2, 5)):
        made = batch(name, seed, count)
        content[name] = {"data": made["data"], "fine_labels": [label + 90 for label in made["labels"]], "coarse_labels": [0] * count}
    files = {name: pickle.dumps(value) for name, value in content.items()} | {"meta": pickle.dumps({"fine_label_names": names})}
    with tarfile.open(downloads / CIFAR100.filename, "w:gz") as archive:
        for name, blob in files.items():
            member = tarfile.TarInfo(f"{CIFAR100.base_folder}/{name}")
            member.size = len(blob)
            archive.addfile(member, io.BytesIO(blob))
    sums = {name: hashlib.md5(blob).hexdigest() for name, blob in files.items()}
    monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", {"filename": "meta", "key": "fine_label_names", "md5": sums["meta"]})
    monkeypatch.setattr(CIFAR100, "tgz_md5", md5_of(downloads / CIFAR100.filename))
    return [(as_images(content[name]["data"]), content[name]["fine_labels"]) for name in ("train", "test")], tuple(names)


def an_svhn(downloads, monkeypatch):
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    parts, files = [], {}
    for name, count in (("train", 12), ("test", 11)):
        images = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        labels = np.arange(count) % 10 + 1  # there a zero is a ten
        savemat(downloads / f"{name}_32x32.mat", {"X": images.transpose(1, 2, 3, 0), "y": labels[:, None]})
        files[name] = ["http://127.0.0.1:1/none", f"{name}_32x32.mat", md5_of(downloads / f"{name}_32x32.mat")]
        parts.append((images, (labels % 10).tolist()))
    monkeypatch.setattr(SVHN, "split_list", files)
    return parts, tuple("0123456789")


def a_fashion_mnist(downloads, monkeypatch):
    from torchvision.datasets import FashionMNIST

    raw = downloads / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    parts, resources = [], []
    for name, count in (("train", 12), ("t10k", 11)):
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        for kind, magic, array in (("images-idx3", 2051, images), ("labels-idx1", 2049, labels)):
            path = raw / f"{name}-{kind}-ubyte.gz"
            head = np.array([magic, *array.shape], dtype=">i4").tobytes()
            path.write_bytes(gzip.compress(head + array.tobytes()))
            resources.append((path.name, md5_of(path)))
        parts.append((images[..., None], labels.tolist()))
    monkeypatch.setattr(FashionMNIST, "resources", resources)
    return parts, tuple(FashionMNIST.classes)


SETS = {
    "cifar100": (a_cifar100, "CIFAR-100", (32, 3)),
    "svhn": (an_svhn, "SVHN", (32, 3)),
    "fashion_mnist": (a_fashion_mnist, "Fashion-MNIST", (28, 1)),
}


@pytest.mark.parametrize("source", SETS)
def test_a_published_set_is_read_as_torchvision_has_it_and_then_from_the_cache(cache, monkeypatch, source):
    write, name, extent = SETS[source]
    downloads = cache / "downloads"
    downloads.mkdir(parents=True)
    parts, classes = write(downloads, monkeypatch)
    assert published.is_here(source, cache)
    first = load_cifar(cache, source=source)
    shutil.rmtree(downloads)
    second = load_cifar(cache, source=source)
    for found in (first, second):
        assert (found.name, found.extent, found.classes) == (name, extent, classes)
        for part, (images, labels) in zip((found.train, found.test), parts, strict=True):
            assert part.images.dtype == np.uint8 and np.array_equal(part.images, images)
            assert part.labels.dtype == np.int64 and part.labels.tolist() == labels
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("source", SETS)
def test_what_is_missing_of_a_published_set_is_named_with_where_it_belongs(cache, monkeypatch, source):
    write, name, _ = SETS[source]
    downloads = cache / "downloads"
    downloads.mkdir(parents=True)
    write(downloads, monkeypatch)
    monkeypatch.setattr(published, "download", lambda *_: (_ for _ in ()).throw(OSError("no network")))
    gone = sorted(path for path in downloads.rglob("*") if path.is_file())[-1]
    gone.unlink()
    assert not published.is_here(source, cache)
    line = refusal(load_cifar, cache, source=source)
    assert f"{name} could not be downloaded (no network): connect to a network, put {gone.name} into {gone.parent}, or choose" in line
