#!/usr/bin/python
"""Describe trees of files so that a restored copy can be compared with them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tree_state
short_description: Content digests, owners, modes, ACLs and extended attributes of trees
description:
  - Reads only. Numbers, not names, for owners and groups, so that hosts with other accounts can compare.
options:
  paths: {description: Roots to describe., type: list, elements: path, required: true}
author: The PGSSI toolkit contributors
"""

EXAMPLES = r"""
- name: Describe what was backed up
  pgssi.toolkit.tree_state:
    paths: [/srv/dpi/documents]
"""

RETURN = r"""
packed:
  description: "base64 of zlib of JSON: {path: [type, mode, uid, gid, digest or link, xattrs, ctime]}."
  returned: always
  type: str
"""

import base64
import json
import zlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pgssi.toolkit.plugins.module_utils.trees import describe


def main() -> None:
    module = AnsibleModule(
        argument_spec={"paths": {"type": "list", "elements": "path", "required": True}}, supports_check_mode=True
    )
    state = describe("/", module.params["paths"])
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    module.exit_json(changed=False, packed=packed, count=len(state))


if __name__ == "__main__":
    main()
