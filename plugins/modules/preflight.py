#!/usr/bin/python
"""Documentation of the preflight action; nothing of it runs on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Check the whole site model before any host is touched
description:
  - Reads the C(site_*) variables of every host of the inventory, also of those outside of the limit, and
    fails with all that is wrong with them, each with its file, key, value and remedy. Runs on the control
    node, contacts no host and needs no facts.
  - Messages are in French, or in English when the control node's environment says C(PGSSI_LANG=en).
author: The PGSSI toolkit contributors
"""

EXAMPLES = r"""
- name: Check the whole site model
  pgssi.toolkit.preflight:
  run_once: true
"""

RETURN = r"""#"""
