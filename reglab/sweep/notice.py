"""The notice that a cloud gives before it takes a spot machine back: half a minute at GCP, two at AWS.

Both publish it at an address inside the machine:
https://cloud.google.com/compute/docs/instances/create-use-spot#detect-preemption and
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html.
"""

import http.client
import threading
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from reglab.settings import settings

POLL_SECONDS = 2.0
_TIMEOUT_SECONDS = 2.0
_MOST_BYTES = 10_000
_VENDOR = Path("/sys/class/dmi/id/sys_vendor")

_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
"""Never through a proxy: the address means this machine."""


def _ask(url: str, headers: Mapping[str, str], method: str = "GET") -> str | None:
    """The answer; None where there is none (404), or nobody answers, or not to the end."""
    try:
        with _open(urllib.request.Request(url, headers=dict(headers), method=method), timeout=_TIMEOUT_SECONDS) as answer:
            said: bytes = answer.read(_MOST_BYTES)
            return said.decode()
    except (OSError, ValueError, http.client.HTTPException):
        return None


def _gcp(address: str) -> bool:
    preempted = _ask(f"{address}/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"})
    return preempted is not None and preempted.strip() == "TRUE"


def _aws(address: str) -> bool:
    token = _ask(f"{address}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, "PUT")
    if token is None:
        return False
    return _ask(f"{address}/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token}) is not None


_CLOUDS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "gcp": ("http://metadata.google.internal", _gcp),
    "aws": ("http://169.254.169.254", _aws),
}
_VENDORS = {"Google": "gcp", "Amazon EC2": "aws"}


def cloud() -> tuple[str, Callable[[str], bool]] | None:
    """The address to ask on this machine and how to ask it: as REGLAB_METADATA says, or as the machine's maker is known."""
    name, _, address = settings().metadata.partition("@")
    if name == "auto":
        try:
            name = _VENDORS.get(_VENDOR.read_text(encoding="utf-8").strip(), "off")
        except OSError:
            name = "off"
    if name == "off":
        return None
    usual, asks = _CLOUDS[name]
    return address.rstrip("/") or usual, asks


class Watch:
    """Asks for the notice every two seconds while it is open, in a thread of its own; then calls `taken`, once."""

    def __init__(self, taken: Callable[[], None]):
        self._taken, self._closed = taken, threading.Event()

    def __enter__(self) -> Self:
        if found := cloud():
            threading.Thread(target=self._watch, args=found, name="preemption notice", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed.set()

    def _watch(self, address: str, asks: Callable[[str], bool]) -> None:
        while not self._closed.is_set():
            if asks(address):
                self._taken()
                return
            self._closed.wait(POLL_SECONDS)
