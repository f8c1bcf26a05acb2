"""Base of the action plugins whose module changes something that access to the host depends on.

The module of the same name makes the change inside ``module_utils.guard.Guard`` and returns
``guard={**guard.as_result(), "label": ...}``; this class proves access and confirms, or waits until the host
is back.
"""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.pgssi.toolkit.plugins.plugin_utils.new_session import NewSession, Unsupported

display = Display()
PAUSE = 5.0  # seconds between tries: shorter ones add up to a source address penalty in sshd 9.8 and later
RETURN = 30.0  # seconds that a host gets to be reachable again after its window
_TEXT = {
    "unsupported": (
        "{reason} : le toolkit ne sait pas prouver l'accès par ce chemin. Remède : connexion `ssh` "
        "et `become_method: sudo`. "
        "Rien n'a été modifié.",
        "{reason}: the toolkit cannot prove access this way. Remedy: connection `ssh` and "
        "`become_method: sudo`. "
        "Nothing was changed.",
    ),
    "no_login": (
        "{label} : la connexion « {name} » ne passe pas par sshd ; seule l'élévation root a été prouvée.",
        '{label}: connection "{name}" does not go through sshd; only becoming root was proven.',
    ),
    "refused": (
        "{label} : après ce changement, une nouvelle session root n'est plus possible ({reason}). "
        "L'hôte est revenu de "
        "lui-même à l'état précédent et l'accès est prouvé. Fichiers rétablis : {files}. "
        "Remède : corrigez le contenu de ces fichiers puis relancez.",
        "{label}: after this change a new root session is no longer possible ({reason}). The host "
        "went back by itself "
        "and access is proven. Files put back: {files}. Remedy: correct the content of these files "
        "and run again.",
    ),
    "lost": (
        "{label} : après ce changement, une nouvelle session root n'est plus possible ({reason}) et "
        "l'accès n'a pas pu être "
        "prouvé de nouveau dans les {seconds} s ({again}). Remède : depuis la console, `systemctl "
        "status pgssi-guard.service` "
        "et /var/lib/pgssi/guard.",
        "{label}: after this change a new root session is no longer possible ({reason}), and access "
        "could not be proven "
        "again within {seconds} s ({again}). Remedy: from the console, `systemctl status "
        "pgssi-guard.service` and "
        "/var/lib/pgssi/guard.",
    ),
    "cut": (
        "{label} : la connexion a été coupée pendant le changement ({reason}). Sans confirmation, "
        "l'hôte revient de lui-même à "
        "l'état précédent en {seconds} s. Remède : corrigez le contenu, attendez ce délai, puis relancez.",
        "{label}: the connection was cut during the change ({reason}). Unconfirmed, the host goes "
        "back by itself within "
        "{seconds} s. Remedy: correct the content, wait that long, and run again.",
    ),
}


class GuardedAction(ActionBase):
    """Run the module of this action, then prove a new root session and confirm."""

    def guarded_arguments(self, task_vars: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - for subclasses
        """Return the module arguments; the task's own, with the language of the messages."""
        return {**self._task.args, "lang": self.lang}

    @property
    def lang(self) -> str:
        """``fr``, or ``en`` when the environment of the control node says PGSSI_LANG=en."""
        return "en" if os.environ.get("PGSSI_LANG", "").startswith("en") else "fr"

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result; failed when access could not be proven."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        try:
            session = NewSession(self, self.lang)
        except Unsupported as error:
            raise AnsibleActionFail(self._text("unsupported", reason=error)) from None
        arguments = self.guarded_arguments(variables)
        try:
            result |= self._execute_module(module_args=arguments, task_vars=variables)
        except AnsibleConnectionFailure as error:
            label, seconds = self._task.get_name(), arguments.get("timeout", 60)
            raise AnsibleActionFail(self._text("cut", label=label, reason=error, seconds=seconds)) from None
        guard = result.pop("guard", None)
        if guard:
            result |= self._prove(session, guard)
        return result

    def _prove(self, session: NewSession, guard: dict[str, Any]) -> dict[str, Any]:
        """Confirm in a new root session, else wait until the host is back; return what the result gains."""
        end = time.monotonic() + float(guard["remaining"])
        # A slow host that was given more time is given it at each try too.
        patience = max(15.0, float(guard["remaining"]) / 4)
        script = f"python3 -B -E -s {guard['directory']}/guard.py"
        if not session.logs_in:
            display.warning(self._text("no_login", label=guard["label"], name=self._connection.transport))
        reason = ""
        # A wrong password counts against the account (three lock it): one try less when there is one.
        for attempt in range(2 if session.password else 3):
            if attempt:
                time.sleep(PAUSE)
            left = end - time.monotonic()
            if left < 1:
                break
            state, reason = session.run(f"{script} confirm {guard['id']}", min(left, patience))
            if state and state["state"] == "confirmed":
                return {}
            if state:
                reason = "too late: the time was over" if self.lang == "en" else "trop tard : le délai était écoulé"
                break
        return self._wait(session, guard, script, end, reason)

    def _wait(self, session: NewSession, guard: dict[str, Any], script: str, end: float, reason: str) -> dict[str, Any]:
        again = ""
        time.sleep(max(end + 2 - time.monotonic(), 0))
        while time.monotonic() < end + RETURN:
            state, again = session.run(f"{script} rollback {guard['id']}", 15)
            if state:
                files = ", ".join(state["restored"]) or "-"
                message = self._text("refused", label=guard["label"], reason=reason, files=files)
                if state["failures"]:
                    message += " " + " ; ".join(state["failures"])
                return {"failed": True, "changed": False, "restored": state["restored"], "msg": message}
            time.sleep(PAUSE)
        seconds = round(float(guard["remaining"]) + RETURN)
        message = self._text("lost", label=guard["label"], reason=reason, again=again, seconds=seconds)
        return {"failed": True, "msg": message}

    def _text(self, code: str, **values: Any) -> str:
        french, english = _TEXT[code]
        return (english if self.lang == "en" else french).format(**values)
