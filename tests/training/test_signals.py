"""Signals: each is a request, but for a second Ctrl-C, which acts as always."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import pytest

from selfscan.training import signals
from selfscan.training.signals import STOPPING, stop_requests


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_is_a_request_however_often_it_comes(number: int) -> None:
    before = signal.getsignal(number)
    with stop_requests() as request:
        assert request.number == 0
        for sent in (number, number, signal.SIGTERM, signal.SIGUSR1):
            os.kill(os.getpid(), sent)
            assert request.number == number
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_acts_as_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_IMPATIENT_AFTER_S", -1.0)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
    with stop_requests() as request:
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.number == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_handlers_are_restored_without_a_signal_too() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_leaves_signals_alone() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with stop_requests() as request:
            seen.append((request.number, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(0, before)]


def blocked_in_a_child() -> set[signal.Signals]:
    reader, writer = multiprocessing.get_context("fork").Pipe(duplex=False)

    def tell() -> None:
        writer.send(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    process = multiprocessing.get_context("fork").Process(target=tell)
    process.start()
    process.join()
    blocked: set[signal.Signals] = reader.recv()
    return blocked


def test_workers_do_not_hear_a_signal_that_is_sent_to_all() -> None:
    with stop_requests():
        assert blocked_in_a_child() >= set(STOPPING)
    assert signal.SIGTERM not in blocked_in_a_child()
