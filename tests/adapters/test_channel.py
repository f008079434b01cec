"""The pipe to a worker process: messages come whole, in few calls, and silence is told from an end."""

from __future__ import annotations

import os
import select
import threading
from multiprocessing.connection import Pipe

import pytest

from rota.executors import channel as module
from rota.executors.channel import Channel
from tests.present import present

needs_files = pytest.mark.skipif(os.name != "posix", reason="here pipes have messages of their own")


class PatchedPoll:
    """What a library puts in the place of select.poll, so that who waits lets others go on."""

    used = 0

    def __init__(self):
        self._poll = present(REAL_POLL)()
        PatchedPoll.used = 0

    def register(self, *arguments):
        self._poll.register(*arguments)

    def poll(self, milliseconds):
        PatchedPoll.used += 1
        return self._poll.poll(milliseconds)


REAL_POLL = getattr(select, "poll", None)


@pytest.fixture(
    params=[
        pytest.param("limited reads", marks=needs_files),
        pytest.param("patched poll", marks=needs_files),
        pytest.param("no poll", marks=needs_files),
        "messages of the system",
    ]
)
def ends(request, monkeypatch):
    """Two ends of a pipe; the first one receives for a twentieth of a second."""
    if request.param == "patched poll":
        monkeypatch.setattr(select, "poll", PatchedPoll)
    elif request.param == "no poll":
        monkeypatch.delattr(select, "poll")
    elif request.param == "messages of the system":
        monkeypatch.setattr(module, "_IS_FILE", False)
    ours, theirs = (Channel(end, patience) for end, patience in zip(Pipe(), (50, None), strict=True))
    yield ours, theirs
    ours.close()
    theirs.close()


def test_messages_come_whole_and_in_order_also_if_several_wait(ends):
    ours, theirs = ends
    messages = [b"one", b"", b"x" * 65536, b"x" * 65537, b"two", b"y" * 3000]
    for one in messages:
        thread = threading.Thread(target=theirs.send, args=(one,))
        thread.start()
        assert ours.receive() == one
        thread.join()
    for one in (b"one", b"", b"two"):
        theirs.send(one)
    assert [ours.receive() for _ in range(3)] == [b"one", b"", b"two"]


def test_what_is_larger_than_a_pipe_comes_both_ways(ends):
    large = bytes(range(256)) * 12_000
    for sender, receiver in (ends, ends[::-1]):
        thread = threading.Thread(target=sender.send, args=(large,))
        thread.start()
        assert receiver.receive() == large
        thread.join()


def test_who_waits_in_vain_is_told_so_and_can_wait_again(ends):
    ours, theirs = ends
    assert ours.receive() is None
    assert not ours.has_more()
    theirs.send(b"late")
    assert ours.has_more()
    assert ours.receive() == b"late"


def test_a_closed_end_is_an_error_for_both_who_send_and_who_receive(ends):
    ours, theirs = ends
    theirs.send(b"last")
    theirs.close()
    assert ours.receive() == b"last"
    with pytest.raises((EOFError, OSError)):
        ours.receive()
    with pytest.raises(OSError):
        ours.send(b"nobody reads it")


@needs_files
def test_a_closed_end_writes_into_no_file_that_has_its_number_now(tmp_path):
    ours, theirs = (Channel(end, None) for end in Pipe())
    number = ours.connection.fileno()
    ours.close()
    descriptor = os.open(tmp_path / "another", os.O_RDWR | os.O_CREAT)
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)
    try:
        for call in (lambda: ours.send(b"call"), ours.receive):
            with pytest.raises(OSError):
                call()
    finally:
        os.close(number)
    assert (tmp_path / "another").read_bytes() == b""
    theirs.close()


@needs_files
def test_a_message_whose_rest_is_late_or_never_comes_is_not_taken_for_another():
    connection, their_connection = Pipe()
    ours = Channel(connection, 50)
    whole = module._HEAD.pack(6) + b"abcdef" + module._HEAD.pack(2) + b"gh"
    for part in (whole[:3], whole[3:10]):
        os.write(their_connection.fileno(), part)
        assert ours.receive() is None
    os.write(their_connection.fileno(), whole[10:-1])
    assert ours.receive() == b"abcdef"
    assert ours.receive() is None
    their_connection.close()
    with pytest.raises(EOFError):
        ours.receive()
    ours.close()


@needs_files
def test_a_short_message_costs_one_write_and_one_read(monkeypatch):
    ours, theirs = (Channel(end, patience) for end, patience in zip(Pipe(), (1000, None), strict=True))
    calls = []

    class System:
        def __getattr__(self, name):
            calls.append(name)
            return getattr(os, name)

    monkeypatch.setattr(module, "os", System())
    ours.send(b"call")
    assert theirs.receive() == b"call"
    theirs.send(b"outcome")
    assert ours.receive() == b"outcome"
    assert calls == ["write", "read"] * 2
    ours.close()
    theirs.close()


@needs_files
def test_who_waits_leaves_it_to_a_poll_that_lets_others_go_on(monkeypatch):
    monkeypatch.setattr(select, "poll", PatchedPoll)
    ours, theirs = (Channel(end, 50) for end in Pipe())
    assert ours.receive() is None
    assert PatchedPoll.used == 1
    ours.close()
    theirs.close()
