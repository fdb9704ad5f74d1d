"""structlog, as JSON for machines or plain for people. Events have dotted names: `consumer.paused`."""

import logging
import sys

import structlog


def configure_logs(service: str, *, log_format: str = "json", level: str = "INFO") -> None:
    """Set up logging for this process; every line names the service."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if log_format == "json" else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)
    # Each cut connection is one event of ours; the AMQP library's own tracebacks say no more.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
