"""The kinds of things that go wrong (docs/dataflow.md). What happens next depends on the kind alone: see `retry.py`."""


class VarangerError(Exception):
    """Base of everything we raise on purpose."""


class BadMessage(VarangerError):
    """A message that no retry can mend: malformed, unknown type, impossible content. Goes to the dead letters."""


class DependencyDown(VarangerError):
    """Broker, store, database or model server does not answer. Pause, back off, do not count an attempt."""


class StoreFault(VarangerError):
    """The store answered with bytes that are not the recorded ones. Retried, never a reason for quarantine."""


class ContentDiffers(VarangerError):
    """A stream ended with bytes that have another sha256 than was promised."""

    def __init__(self, size: int, sha256: str, promised: str) -> None:
        super().__init__(f"{size} bytes came with sha256 {sha256}, promised was {promised}")
        self.sha256 = sha256


class ObjectMissing(VarangerError):
    """No object under that key."""


class PartsRefused(VarangerError):
    """The store does not make an object of these parts: one was sent again meanwhile, or is too small."""


class Unroutable(VarangerError):
    """A message that no queue is bound for: a fault of the topology, raised rather than lost."""


class ModelFault(VarangerError):
    """A model answered with something that breaks the model contract, or cannot be loaded."""


class ReleaseInvalid(VarangerError):
    """A release bundle whose manifest or files do not hold together; the message names field and fix."""


class RevisionUnknown(VarangerError):
    """The catalog's schema is not the one this code was written for."""
