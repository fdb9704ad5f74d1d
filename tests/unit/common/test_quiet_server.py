import signal

from varanger.common.telemetry.health import QuietServer


def test_the_server_leaves_signals_to_the_process_that_drains() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with QuietServer(None, "127.0.0.1", 0).capture_signals():
        assert {number: signal.getsignal(number) for number in before} == before
