#!/usr/bin/python
"""Append a record to the site's evidence journal (documentation; the action plugin does the work)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence
short_description: Append a record to the site's evidence journal
description:
  - Runs on the control node. Writes one signed, hash-chained record in the journal of the site
    (C(site_evidence_dir), relative to the inventory) and keeps its attachments by digest.
  - In check mode nothing is written.
  - Never put a secret in a record; keys such as C(password) and private keys are refused.
options:
  kind:
    description: Kind of evidence, such as C(restore_drill), C(access_review) or C(red_button).
    type: str
    required: true
  what:
    description: One sentence for a person, in French.
    type: str
    required: true
  where:
    description: Hosts concerned. The host of the task when absent.
    type: list
    elements: str
  who:
    description: Persons by role, C(operator) first. The operator is the person logged in when absent.
    type: dict
    default: {}
  when:
    description: C(start) and C(end), ISO 8601, UTC when no offset is given. Now when absent.
    type: dict
    default: {}
  result:
    description: How it ended.
    type: str
    choices: [success, failure, partial]
    default: success
  details:
    description: Facts of this kind of evidence; C(restore_drill) and C(access_review) have required ones.
    type: dict
    default: {}
  files:
    description: Attachments on the control node, each a path or C({name, content}).
    type: list
    elements: raw
    default: []
  sign_key:
    description:
      - SSH key of the operator, private, or public with its private half in ssh-agent.
      - Without it, or when it cannot sign, the record is to be signed later by C(pgssi evidence sign); the
        key of C(site_automation) seals it if the playbook connects with that key.
    type: path
author: The PGSSI toolkit contributors
"""

EXAMPLES = r"""
- name: Record the drill
  pgssi.toolkit.evidence:
    kind: red_button
    what: Zone de sauvegarde isolée
    where: [bkp1]
    who: {requester: rssi}
    sign_key: ~/.ssh/id_ed25519
"""

RETURN = r"""
record:
  description: C(id), C(seq) and C(sha256) of the record.
  returned: when not in check mode
  type: dict
signed:
  description: Whose signatures the record bears; automation alone seals it, a person has still to sign.
  returned: when not in check mode
  type: list
anchor:
  description: C(COUNT:SHA256) of the journal after it, to keep elsewhere.
  returned: when not in check mode
  type: str
directory:
  description: The journal.
  returned: when not in check mode
  type: str
"""
