"""The network of the site: who may talk to whom, by which port, and what enforces it."""

from pgssi.network.model import Network, load
from pgssi.network.parts import Block, Endpoint, Equipment, Flow, Interface, Line, NetHost, Port, Service, Zone

__all__ = ["Block", "Endpoint", "Equipment", "Flow", "Interface", "Line", "NetHost", "Network", "Port", "Service", "Zone", "load"]
