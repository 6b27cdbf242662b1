"""What it means that W&B's server, or what stands in its place, does not answer as it should: each in a line, by whose fault it is."""

import pytest
from wandb.proto.wandb_api_pb2 import ApiErrorResponse
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

from reglab.errors import MachineError, ReglabError, UserError
from reglab.tracking import wandb_api
from tests.loopback.faults import Fault


@pytest.mark.parametrize(
    ("response", "kind", "said"),
    [
        (None, ReglabError, r"p: W&B does not answer \(busy\)"),
        (ApiErrorResponse(message="quota", http_status=429), ReglabError, r"p: W&B does not answer \(busy\)"),
        (ApiErrorResponse(message="down", http_status=502), ReglabError, r"p: W&B does not answer \(busy\)"),
        (ApiErrorResponse(message="no", http_status=403), UserError, r"p: W&B refuses \(busy\); `wandb login` sets the key"),
        (ApiErrorResponse(message="invalid character '<'"), MachineError, r"p: what answers is not W&B, or not as W&B does \(busy\)"),
    ],
)
def test_what_its_client_says_of_a_request_that_failed_is_told_by_whose_fault_it_is(response, kind, said):
    with pytest.raises(ReglabError, match=f"^{said}") as raised, wandb_api.answering("p"):
        raise WandbApiFailedError("busy", response)
    assert type(raised.value) is kind


def test_a_key_that_may_not_ask_whose_it_is_is_refused(wandb_server):
    wandb_server.faults.plan("GetDefaultEntity", Fault.error_403)
    with pytest.raises(UserError, match=r"^the account: W&B refuses \(403 on demand\)"):
        wandb_api.default_entity()


def test_a_page_in_place_of_an_answer_is_no_fault_of_the_key(wandb_server):
    wandb_server.instead["Viewer"] = lambda sent: b"<html><h1>502 Bad Gateway</h1></html>"
    with pytest.raises(ReglabError, match=r"^W&B does not answer \(.*invalid character '<'") as raised:
        wandb_api.connect()
    assert not isinstance(raised.value, UserError)
