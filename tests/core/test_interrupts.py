"""Deferred Ctrl-C: which signals are deferred, and the state afterwards."""

from __future__ import annotations

import signal
import threading

import pytest

from exasol_ci_setup.core.interrupts import DeferredSignals


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def number(request):
    """A signal with the handler of the program."""

    def stop(_number, _frame):
        raise KeyboardInterrupt

    before = signal.signal(request.param, stop)
    yield request.param
    signal.signal(request.param, before)


def test_first_signal_is_deferred_and_second_interrupts(number):
    with DeferredSignals() as held:
        signal.raise_signal(number)
        assert held.pressed
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_deferred_signal_is_delivered_on_demand(number):
    with DeferredSignals() as held:
        signal.raise_signal(number)

    with pytest.raises(KeyboardInterrupt):
        held.deliver()


def test_without_signal_nothing_is_delivered():
    with DeferredSignals() as held:
        pass

    held.deliver()


def test_signal_handler_is_restored(number):
    before = signal.getsignal(number)

    with DeferredSignals():
        assert signal.getsignal(number) != before

    assert signal.getsignal(number) == before


def test_signal_without_python_handler_keeps_its_effect():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with DeferredSignals():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_thread_defers_no_signal():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with DeferredSignals():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert seen == [before]
