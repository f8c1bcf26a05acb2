"""One SSH connection per host, one long-lived root channel that carries every command."""

from pgssi.transport.channel import (
    Channel,
    CommandTimeout,
    ConnectionLost,
    OutputTooLarge,
    Result,
    TransportError,
    Unreachable,
)
from pgssi.transport.connection import Connection

__all__ = [
    "Channel",
    "CommandTimeout",
    "Connection",
    "ConnectionLost",
    "OutputTooLarge",
    "Result",
    "TransportError",
    "Unreachable",
]
