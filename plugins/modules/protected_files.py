#!/usr/bin/python
"""Replace files that access to the host depends on; the action plugin of the same name confirms."""

from __future__ import annotations

DOCUMENTATION = r"""
module: protected_files
short_description: Change sshd, PAM, sudo or firewall files without locking anybody out
description:
  - Writes whole files, makes them effective and checks them under a guard. The host keeps a copy of every
    path, arms a systemd timer and goes back by itself unless the control node opens a new session, becomes
    root in it and confirms.
  - Nothing differs, nothing is armed. In check mode the differences are shown and nothing else happens.
  - Over a local or container connection no new login can be tried; becoming root is proven, and a warning
    says so. Other connections are refused.
options:
  files:
    description: Files in their wanted state.
    type: list
    elements: dict
    required: true
    suboptions:
      path: {description: Absolute path., type: path, required: true}
      state: {description: Whether it exists., type: str, choices: [file, absent], default: file}
      content: {description: Whole content., type: str, default: ""}
      mode: {description: Octal mode., type: str, default: "0644"}
      owner: {description: Owner., type: str, default: root}
      group: {description: Group., type: str, default: root}
      validate:
        description: Command that must accept the file before anything changes; C(%s) is a copy of it.
        type: str
  secrets:
    description: Parts of contents that are neither shown, in differences for instance, nor written to the log of the host.
    type: list
    elements: str
    default: []
  restore_also:
    description: Files and trees that the O(apply) commands alter, put back with the rest.
    type: list
    elements: path
    default: []
  apply:
    description: Commands that make the change effective, run without a shell when a file changed.
    type: list
    elements: str
    default: []
  current:
    description:
      - Commands that succeed while the host is as wanted and change nothing; run in check mode too.
      - When one fails, O(apply) runs although no file differs. This finds what was undone behind unchanged
        files.
    type: list
    elements: str
    default: []
  check:
    description: Commands that must succeed right after, else everything goes back at once.
    type: list
    elements: str
    default: []
  undo:
    description: Commands run after everything went back. Same as O(apply) when absent.
    type: list
    elements: str
  timeout:
    description: Seconds until the host goes back by itself.
    type: int
    default: 60
  label:
    description: What the operator calls this change. The first changed path when absent.
    type: str
    default: ""
  lang:
    description: Language of the messages.
    type: str
    choices: [fr, en]
    default: fr
author: The PGSSI toolkit contributors
"""

EXAMPLES = r"""
- name: Write the sshd drop-in
  pgssi.toolkit.protected_files:
    files:
      - path: /etc/ssh/sshd_config.d/00-pgssi.conf
        content: "{{ lookup('ansible.builtin.template', 'sshd.conf.j2') }}"
        validate: sshd -t -f %s
    apply: [systemctl reload ssh]
    check: [sshd -t]
"""

RETURN = r"""
changed_files:
  description: Paths that differ from the wanted state.
  returned: always
  type: list
  elements: str
restored:
  description: Paths that were put back.
  returned: when the change did not hold
  type: list
  elements: str
"""

import grp
import os
import pwd
import shlex
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pgssi.toolkit.plugins.module_utils.guard import (
    Guard,
    GuardError,
    execute,
    pending,
    settle,
)
from ansible_collections.pgssi.toolkit.plugins.module_utils.guard_snapshot import (
    SnapshotError,
    check_path,
    describe,
)


@dataclass(frozen=True)
class Wanted:
    """A file in its wanted state; ``content`` is None when it must not exist."""

    path: str
    content: bytes | None
    mode: int
    uid: int
    gid: int
    validate: str


def wanted(raw) -> Wanted:
    """Resolve one entry of ``files``; raise GuardError naming it when a value cannot be used."""
    try:
        content = raw["content"].encode() if raw["state"] == "file" else None
        validate = raw["validate"] or ""
        if validate and "%s" not in validate:
            raise ValueError(f"validate: {validate!r} holds no %s")
        mode = int(raw["mode"], 8)
        uid, gid = pwd.getpwnam(raw["owner"]).pw_uid, grp.getgrnam(raw["group"]).gr_gid
        return Wanted(check_path(raw["path"]), content, mode, uid, gid, validate)
    except (KeyError, ValueError, SnapshotError) as error:
        raise GuardError("invalid", label=raw["path"], reason=error) from error


def difference(file: Wanted):
    """Return the Ansible diff of one file, or None when it is as wanted."""
    now = describe(file.path)
    before = Path(file.path).read_bytes() if now["type"] == "file" else b""
    same_rights = (now.get("mode"), now.get("uid"), now.get("gid")) == (file.mode, file.uid, file.gid)
    if now["type"] == ("absent" if file.content is None else "file") and (
        file.content is None or (same_rights and before == file.content)
    ):
        return None
    after = file.content or b""
    rights = "" if now["type"] == "absent" else f" ({now['mode']:04o} {now['uid']}:{now['gid']})"
    new_rights = " (absent)" if file.content is None else f" ({file.mode:04o} {file.uid}:{file.gid})"
    return {
        "before_header": file.path + (rights or " (absent)"),
        "after_header": file.path + new_rights,
        "before": before.decode("utf-8", "replace"),
        "after": after.decode("utf-8", "replace"),
    }


def validate(file: Wanted, directory: str) -> None:
    """Let the subsystem's own checker read a copy of the new content."""
    if file.content is None or not file.validate:
        return
    staged = Path(directory, f"pgssi-{os.path.basename(file.path)}")
    with open(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(file.content)
        os.fchmod(stream.fileno(), file.mode)
        os.fchown(stream.fileno(), file.uid, file.gid)
    try:
        command = [part.replace("%s", str(staged)) for part in shlex.split(file.validate)]
        status, output = execute(command)
    finally:
        staged.unlink()
    if status != 0:
        raise GuardError("validate_failed", label=file.path, command=file.validate, status=status, output=output)


def change(module: AnsibleModule) -> dict:
    """Bring the files to their wanted state; return the result for Ansible. Raises GuardError."""
    options = module.params
    files = [wanted(raw) for raw in options["files"]]
    if module.check_mode:
        if os.geteuid() == 0 and pending():
            module.warn("A guarded change is pending on this host: what is shown is compared with its temporary state.")
    elif os.geteuid() != 0:
        raise GuardError("not_root")
    else:
        settle()
    differences = {file.path: difference(file) for file in files}
    changed = [file for file in files if differences[file.path]]
    stale = [] if changed else [command for command in options["current"] if execute(command)[0] != 0]
    result = {
        "changed": bool(changed or stale),
        "changed_files": [file.path for file in changed],
        "diff": [shown for shown in differences.values() if shown]
        + [{"before_header": command, "before": "", "after": "not effective: applied again\n"} for command in stale],
    }
    if not result["changed"] or module.check_mode:
        return result
    for file in changed:
        validate(file, module.tmpdir)
    undo = options["apply"] if options["undo"] is None else options["undo"]
    label = options["label"] or ", ".join(result["changed_files"] or stale)
    paths = [file.path for file in files] + options["restore_also"]
    with Guard(paths, undo, options["timeout"], label) as guard:
        for file in changed:
            if file.content is None:
                guard.remove(file.path)
            else:
                guard.write(file.path, file.content, file.mode, file.uid, file.gid)
        for command in options["apply"]:
            guard.run(command)
        for command in options["check"]:
            guard.check(command)
    return {**result, "guard": {**guard.as_result(), "label": label}}


def main() -> None:
    os.umask(0o022)  # folders on the way to ours are for everybody, whatever the umask of the operators' sessions
    file_options = {
        "path": {"type": "path", "required": True},
        "state": {"type": "str", "choices": ["file", "absent"], "default": "file"},
        "content": {"type": "str", "default": ""},
        "mode": {"type": "str", "default": "0644"},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
        "validate": {"type": "str"},
    }
    commands = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "required": True, "options": file_options},
            "secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
            "restore_also": {"type": "list", "elements": "path", "default": []},
            "apply": commands,
            "current": commands,
            "check": commands,
            "undo": {"type": "list", "elements": "str"},
            "timeout": {"type": "int", "default": 60},
            "label": {"type": "str", "default": ""},
            "lang": {"type": "str", "choices": ["fr", "en"], "default": "fr"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**change(module))
    except GuardError as error:
        module.fail_json(msg=error.text(module.params["lang"]), restored=error.restored)


if __name__ == "__main__":
    main()
