#!/usr/bin/python
"""Compare what was read on the hosts with the record before, and record it (documentation; the action plugin works)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: inventory_record
short_description: Record hardware and software of the hosts, and what differs from the record before
description:
  - Runs once, on the control node, over what M(pgssi.toolkit.asset_inventory) read on the hosts.
  - Appends an C(asset_inventory) evidence record; the whole inventory is its attachment C(inventaire.json).
  - Hosts of the inventory that were not read are named in the record, and keep what the record before knew of them.
  - In check mode the differences are returned and nothing is written.
options:
  seen:
    description: What M(pgssi.toolkit.asset_inventory) returned as C(asset), by host.
    type: dict
    required: true
author: The PGSSI toolkit contributors
"""

EXAMPLES = r"""
- name: Record the inventory
  pgssi.toolkit.inventory_record:
    seen: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'registered'))) }}"
  run_once: true
"""

RETURN = r"""
differences:
  description: Each difference as C(code), C(host), C(item), C(old) and C(new).
  returned: always
  type: list
record:
  description: C(id), C(seq) and C(sha256) of the record.
  returned: when not in check mode
  type: dict
"""
