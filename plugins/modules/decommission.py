#!/usr/bin/python
"""Destroy the data of one medium (documentation; the action plugin does the work)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: decommission
short_description: Destroy the data of one medium, and prove it
description:
  - Checks that the medium is declared in C(site_media), that its content is backed up (a recent, successful restore) or
    declared worthless, and that a second person has signed an agreement; then has the host decide again by itself, erase,
    and read the whole medium back.
  - Writes the intervention sheet (PSSI 3.1.4.8) in the evidence journal, and a page to print. A destruction that is not
    proven is recorded as a failure, and fails the task.
  - A destruction that was interrupted goes on when the task runs again.
options:
  step:
    description:
      - C(approve) records an agreement; C(show) tells what would be done; C(erase) does it.
      - C(record) writes the sheet of what people have destroyed physically.
    type: str
    choices: [approve, show, erase, record]
    required: true
  serial: {description: Serial number of the medium., type: str, required: true}
  typed: {description: The serial number as the operator typed it., type: str}
  operator:
    description: Who erases, or agrees; who is logged in on the control node when absent. To erase, another name needs their key.
    type: str
  sign_key: {description: SSH key that signs the record., type: path}
  done: {description: "What was done, for C(record): C(method), C(witness), C(contractor)… see the guide.", type: dict}
  pages: {description: Directory of the printable sheets., type: path}
author: [The PGSSI toolkit contributors]
"""

EXAMPLES = r"""
- name: Erase
  pgssi.toolkit.decommission: {step: erase, serial: S3X4NB0K, typed: "{{ typed.user_input }}"}
"""

RETURN = r"""
lines: {description: What a person should read., returned: always, type: list}
record: {description: Id of the record that was written., returned: when a record was written, type: str}
"""
