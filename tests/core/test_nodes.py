"""What nodes say of themselves, and what others ask of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rota.clock import SECOND
from rota.core.nodes import Node, about, text_of
from rota.core.orders import LONGEST_ANSWER, REQUESTS_KEPT, Orders, Request, backfill_id

ABOUT = about("host", 7, "1.0", {"default": 5, "any": None}, -1_500_000)


def told(text: str | None) -> dict[str, Any]:
    node = Node("node", 3 * SECOND, 10 * SECOND, 5 * SECOND)
    node.tell(text)
    return node.to_dict()


NOTHING = told(None)


def test_a_node_that_has_said_nothing_is_known_by_its_lease() -> None:
    assert NOTHING == {
        "id": "node",
        "host": None,
        "pid": None,
        "version": None,
        "alive": True,
        "draining": False,
        "started": "1970-01-01T00:00:03+00:00",
        "lease_until": "1970-01-01T00:00:10+00:00",
        "executors": {},
        "under_way": 0,
        "clock_offset": None,
    }
    assert Node("node", 0, 10, 5, 3).under_way == 3


def test_a_node_is_alive_until_its_lease_is_over() -> None:
    assert [Node("node", 0, 10, now).alive for now in (9, 10, 11)] == [True, False, False]
    assert [repr(Node("node", 0, 10, now)) for now in (9, 10)] == ["<Node node alive>", "<Node node gone>"]


def test_what_a_node_says_of_itself_comes_back_from_its_text() -> None:
    said = {
        "host": "host", "pid": 7, "version": "1.0", "executors": {"default": 5, "any": None}, "clock_offset": -1.5,
    }  # fmt: skip
    assert told(text_of(ABOUT)) == {**NOTHING, **said}
    node = Node("node", 0, 10, 5)
    node.tell(text_of(about("host", 7, "1.0", {}, None)))
    assert (node.clock_offset, node.to_dict()["clock_offset"]) == (None, None)
    assert text_of(about("größer", 7, "1.0", {}, 0)) == (
        '{"clock_offset":0,"executors":{},"host":"größer","pid":7,"version":"1.0"}'
    )


@pytest.mark.parametrize(("since", "second"), [(2, 2), (10, 10), (0, 3), (-1, 3), (11, 3)])
def test_a_node_began_when_it_says_so_if_that_was_before_the_end_of_its_lease(
    since: int, second: int
) -> None:
    text = text_of(about("host", 7, "1.0", {}, None, since * SECOND))
    assert told(text)["started"] == f"1970-01-01T00:00:{second:02}+00:00"


def test_a_node_may_have_begun_with_the_first_microsecond() -> None:
    node = Node("node", 3, 10, 5)
    node.tell('{"since":1}')
    assert node.started == 1
    node.tell('{"since":true}')
    assert node.started == 1


def test_a_node_that_does_not_say_when_it_began_has_nothing_of_it_in_its_text() -> None:
    assert "since" not in ABOUT
    assert about("host", 7, "1.0", {}, None, 0)["since"] == 0


@pytest.mark.parametrize(
    "text", ["", "[]", "5", "{", "[" * 5000, '{"host": 5, "pid": "7", "executors": [], "since": "2"}']
)
def test_what_is_damaged_says_nothing(text: str) -> None:  # fmt: skip
    assert told(text) == NOTHING


def test_of_a_text_that_is_damaged_in_part_the_rest_is_read() -> None:
    found = told(json.dumps({**ABOUT, "pid": "x"}))
    assert (found["host"], found["pid"]) == ("host", None)


# -------------------------------------------------------------------------------------------------- what nodes are asked


def test_orders_say_what_is_asked() -> None:
    request = Request("id", "stack", ("job", 5))
    assert (request.id, request.kind, request.subject) == ("id", "stack", ("job", 5))
    assert repr(request) == "<Request id stack ('job', 5)>"
    nothing = Orders()
    asked = [
        nothing.draining,
        nothing.cancels,
        nothing.requests,
        nothing.next_waiting,
        nothing.outdated,
        nothing.backfills,
    ]
    assert asked == [False, (), (), None, False, {}]
    assert repr(nothing) == "<Orders [] []>"
    cancels = [("job", 5, "why")]
    orders = Orders(True, cancels, [request], 7, True, {"job": "text"})
    asked = [
        orders.draining,
        orders.cancels,
        orders.requests,
        orders.next_waiting,
        orders.outdated,
        orders.backfills,
    ]
    assert asked == [True, cancels, [request], 7, True, {"job": "text"}]
    assert repr(orders) == f"<Orders draining {cancels} [{request}]>"


def test_the_backfill_of_a_job_has_an_id_of_its_own() -> None:
    assert backfill_id("job") == "backfill-084edffcadb9344536f3759cbdf80e9d"  # as others have stored it
    assert backfill_id("job") != backfill_id("other")
    assert backfill_id("\ud800").startswith("backfill-")


def test_how_long_things_are_kept() -> None:
    assert (REQUESTS_KEPT, LONGEST_ANSWER) == (60 * SECOND, 65_536)
