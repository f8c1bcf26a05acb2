"""The demo hospital as containers: real Debian hosts, zones and a gateway, described by an inventory."""
