#!/usr/bin/python
"""Write the intervention reports that are due (documentation; the action plugin does the work)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: intervention_report
short_description: Write the reports of remote interventions that are over
description:
  - Runs on the log server. For each window of remote maintenance that is over, writes one evidence record of kind
    C(remote_session) with who, what, when, commands and files moved, unless it was written before.
  - A recorded session that belongs to no window gets a record of its own, as a failure.
options:
  sign_key:
    description: SSH key of the operator; without it the record is to be signed later.
    type: path
  windows:
    description: Windows that have just been closed, by id; their last words are waited for.
    type: list
    elements: str
    default: []
  pages:
    description: Directory on the control node for the printable pages; none when absent.
    type: path
author: The PGSSI toolkit contributors
"""

EXAMPLES = r"""
- name: Report
  pgssi.toolkit.intervention_report:
    pages: reports
"""

RETURN = r"""
reports:
  description: C(id), C(what) and C(page) of each record written.
  returned: always
  type: list
lines:
  description: One line each, for people.
  returned: always
  type: list
"""
