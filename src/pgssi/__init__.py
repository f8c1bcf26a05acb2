"""PGSSI toolkit: the catalogue of rules, the site model, the verifier, the report and the lab."""

__version__ = "0.1.0"
