#!/usr/bin/python
"""Cross the four lists of the access review and record it (documentation; the action plugin works)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: access_review
short_description: Cross declared habilitations with the rights in force, and record the review
description:
  - Runs once, on the control node, over what M(pgssi.toolkit.access_inventory) read on the hosts.
  - Appends an C(access_review) evidence record, to be signed, and writes its printable page.
  - Hosts of the inventory that were not read are named in the record; nothing is assumed about them.
  - In check mode the differences are returned and nothing is written.
options:
  seen:
    description: Result of M(pgssi.toolkit.access_inventory) by host.
    type: dict
    required: true
  reviewer:
    description: Who will decide on the differences.
    type: str
  pages:
    description: Directory of the printable page. C(pages) beside the evidence journal when absent.
    type: path
author: The PGSSI toolkit contributors
"""

EXAMPLES = r"""
- name: Record the review
  pgssi.toolkit.access_review:
    seen: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'registered'))) }}"
  run_once: true
"""

RETURN = r"""
differences:
  description: Each difference as C(code), C(host), C(account) and C(seen).
  returned: always
  type: list
sample:
  description: Hosts, technical rights and business sample covered.
  returned: always
  type: dict
record:
  description: C(id), C(seq) and C(sha256) of the record.
  returned: when not in check mode
  type: dict
page:
  description: The printable page.
  returned: when not in check mode
  type: str
"""
