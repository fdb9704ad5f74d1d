import pytest

from varanger.common.errors import BadMessage, DependencyDown, StoreFault
from varanger.common.retry import DeadLetter, Pause, RetryLater, decide


def test_a_bad_message_is_a_dead_letter_at_once() -> None:
    decision = decide(BadMessage("payload.sha256: too short"), attempt=1, pauses=0)
    assert decision == DeadLetter("BadMessage: payload.sha256: too short")


@pytest.mark.parametrize(("attempt", "delay"), [(1, 5.0), (2, 30.0), (3, 300.0)])
def test_an_unknown_fault_waits_ever_longer(attempt: int, delay: float) -> None:
    assert decide(StoreFault("short read"), attempt=attempt, pauses=0) == RetryLater(delay)


def test_after_the_last_delay_it_is_a_dead_letter_that_says_how_often() -> None:
    decision = decide(RuntimeError("boom"), attempt=4, pauses=0)
    assert decision == DeadLetter("gave up after 4 attempts: RuntimeError: boom")


def test_a_dependency_that_is_down_is_never_counted_and_waited_for_ever_more_slowly() -> None:
    waits = [decide(DependencyDown("broker"), attempt=99, pauses=pauses) for pauses in range(9)]
    seconds = [wait.seconds for wait in waits if isinstance(wait, Pause)]
    assert seconds == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
