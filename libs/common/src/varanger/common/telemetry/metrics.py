"""Every metric of every process, in one place. docs/metrics.md says what each means and when to worry."""

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter(
    "varanger_messages_total",
    "Deliveries ended, by queue and how: done, retried, dead, requeued",
    ["queue", "outcome"],
)
HANDLER_SECONDS = Histogram(
    "varanger_handler_seconds",
    "Seconds one handler call took, by queue group",
    ["consumer"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
BATCH_SIZE = Histogram(
    "varanger_batch_size", "Messages per handler call", ["consumer"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
IN_FLIGHT = Gauge("varanger_in_flight", "Deliveries held and not ended", ["consumer"])
PAUSED = Gauge("varanger_consumer_paused", "1 while a dependency is down and consuming pauses", ["consumer"])
LOOP_RUNS = Counter(
    "varanger_loop_runs_total", "Runs of a background loop, by outcome: done, down, fault", ["loop", "outcome"]
)
OUTBOX_PUBLISHED = Counter("varanger_outbox_published_total", "Outbox messages confirmed by the bus", ["lane"])
OUTBOX_AGE_SECONDS = Gauge("varanger_outbox_oldest_seconds", "Age of the oldest waiting outbox message", ["lane"])
UPLOADS = Counter("varanger_uploads_total", "Files taken by the gateway, by verdict", ["verdict"])
UPLOADED_BYTES = Counter("varanger_uploaded_bytes_total", "Bytes taken by the gateway")
RECONCILED = Counter("varanger_reconciled_total", "Messages sent again because nothing moved", ["type"])
SWEPT = Counter("varanger_swept_objects_total", "Objects removed, by why: recorded, no_row", ["why"])
STAGE_SECONDS = Histogram(
    "varanger_stage_seconds",
    "Seconds of one part of the work on one batch or file, by part",
    ["part"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
