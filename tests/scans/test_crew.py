from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from distributed import Client, KilledWorker

from selfscan.errors import Interrupted
from selfscan.scans.crew import crew, spread, stopped_by_signals


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with crew(2) as client:
        yield client


def test_each_task_comes_back_with_its_result(client: Client) -> None:
    assert sorted(spread(client, abs, range(-5, 5))) == [(n, abs(n)) for n in range(-5, 5)]
    assert list(spread(client, abs, [])) == []


def test_an_error_comes_back_as_itself(client: Client) -> None:
    results = dict(spread(client, int, ["1", "one"]))
    assert results["1"] == 1
    assert isinstance(results["one"], ValueError)


def test_tasks_are_taken_only_as_workers_get_free(client: Client) -> None:
    taken = []

    def tasks() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    results = spread(client, abs, tasks())
    next(results)
    assert len(taken) <= 6
    assert len(list(results)) == 49


def test_a_joined_cluster_lives_on(client: Client) -> None:
    with crew(1, client.scheduler_info()["address"]) as other:
        assert dict(spread(other, abs, [-3])) == {-3: 3}
    assert dict(spread(client, abs, [-4])) == {-4: 4}


@pytest.mark.slow
def test_a_task_that_kills_its_workers_is_given_up(client: Client) -> None:
    ((_, error),) = spread(client, os._exit, [1])
    assert isinstance(error, KilledWorker)
    assert dict(spread(client, abs, [-1])) == {-1: 1}


@pytest.mark.slow
def test_the_main_module_is_itself_again() -> None:
    main = sys.modules["__main__"]
    before = (getattr(main, "__file__", None), main.__spec__)
    with crew(1):
        assert main.__spec__ is None
    assert (getattr(main, "__file__", None), main.__spec__) == before


def test_a_signal_becomes_an_error() -> None:
    expected = pytest.raises(Interrupted, match="stopped by SIGTERM; try again")
    with expected as raised, stopped_by_signals("try again"):
        os.kill(os.getpid(), 15)
    assert raised.value.exit_code == 143
