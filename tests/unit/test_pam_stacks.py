"""What a PAM service lets through, as libpam would read and follow its files: no way of writing a bypass hides it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pgssi.verify import pam_stacks
from pgssi.verify.pam_stacks import COMMAND, SECRET, Line, answers, gaps, names, read_services, stack

OPENS, LOCKED, UNCOUNTED = "s'ouvre sans secret", "ouvre un compte verrouillé", "ne compte pas les échecs"
EXPIRED, WEAK = "ouvre un compte expiré", "accepte un mot de passe faible"
# What Debian installs, with pam_faillock and pam_pwquality.
COMMON = {
    "common-auth": """
auth requisite pam_faillock.so preauth
auth [success=2 default=ignore] pam_unix.so nullok
auth [default=die] pam_faillock.so authfail
auth requisite pam_deny.so
auth required pam_permit.so
auth optional pam_cap.so
""",
    "common-account": """
account required pam_faillock.so
account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so
account requisite pam_deny.so
account required pam_permit.so
account sufficient pam_localuser.so
account [default=bad success=ok user_unknown=ignore] pam_sss.so
""",
    "common-password": """
password requisite pam_pwquality.so retry=3
password [success=1 default=ignore] pam_unix.so obscure use_authtok try_first_pass yescrypt
password requisite pam_deny.so
password required pam_permit.so
""",
    "other": "@include common-auth\n@include common-account\n@include common-password\n",
}
DEBIAN = {
    "sshd": "@include common-auth\naccount required pam_nologin.so\n@include common-account\n@include common-password\n",
    "login": "auth optional pam_faildelay.so delay=3000000\nauth requisite pam_nologin.so\n@include common-auth\n"
    "auth optional pam_group.so\n@include common-account\n@include common-password\n",
    "su": "auth sufficient pam_rootok.so\n@include common-auth\n@include common-account\n",
    "su-l": "auth include su\naccount include su\npassword include su\n",
    "passwd": "@include common-password\n",
    "runuser": "auth sufficient pam_rootok.so\nsession required pam_unix.so\n",
    "gdm-password": "auth required pam_succeed_if.so user != root quiet_success\n@include common-auth\n@include common-account\n",
    "only-session": "session required pam_limits.so\n",
    "empty": "",
    "ends-early": "auth required pam_env.so\nauth requisite pam_faillock.so preauth\nauth sufficient pam_unix.so\n"
    "auth [default=die] pam_faillock.so silent audit authfail deny=3\n",
    "code": "auth requisite pam_google_authenticator.so user=root\npassword required pam_deny.so\n",
}
DENY = "auth requisite pam_deny.so\n"
PERMIT = "auth required pam_permit.so\n"


def found(text: str, **files: str) -> list[str]:
    """Return the gaps of a service on a host that is otherwise in order."""
    return gaps({**COMMON, **files, "x": text}, "x")


def opens(text: str, **files: str) -> bool:
    """Tell whether a service that refuses everybody opens once these lines stand before its own."""
    return OPENS in found(text + DENY, **files)


@pytest.mark.parametrize("service", DEBIAN)
def test_a_debian_host_in_order_has_no_gap(service: str) -> None:
    """Nothing is found in what Debian installs, save what a service of one factor does not promise."""
    assert gaps({**COMMON, **DEBIAN}, service) == ([LOCKED] if service == "code" else [])


def test_a_plain_debian_host_counts_no_failure() -> None:
    """Without pam_faillock and pam_pwquality, lockout and weak passwords are missing; secrets and expiries are kept."""
    auth = "auth [success=1 default=ignore] pam_unix.so nullok\n" + DENY + PERMIT
    password = (
        "password [success=1 default=ignore] pam_unix.so\npassword requisite pam_deny.so\npassword required pam_permit.so\n"
    )
    assert found(auth + password) == [LOCKED, WEAK]


@pytest.mark.parametrize(
    "lines",
    [
        "auth sufficient pam_permit.so\n",
        "AUTH SUFFICIENT pam_permit.so\n",
        "\tauth\tsufficient\tpam_permit.so\t\n",
        "-auth sufficient pam_permit.so\n",
        "[auth] [sufficient] [pam_permit.so]\n",
        "auth [sufficient] pam_permit.so\n",
        "auth success=done pam_permit.so\n",
        "auth [success=done default=bad] pam_permit.so\n",
        "auth [ success = done default = bad ] pam_permit.so\n",
        "auth [success=donedefault=bad] pam_permit.so\n",
        "auth [success=done]pam_permit.so\n",
        "auth [default=done default=bad] pam_permit.so\n",
        "auth [default=done auth_err=bad] pam_permit.so\n",
        "auth [success=bad success=done] pam_permit.so\n",
        "auth [success=1 default=ignore] pam_permit.so\nauth requisite pam_deny.so\nauth sufficient pam_permit.so\n",
        "auth [default=1] pam_unix.so\nauth requisite pam_deny.so\nauth sufficient pam_permit.so\n",
        "auth sufficient \\\n  pam_permit.so\n",
        "auth sufficient \\  \n  pam_permit.so\n",
        "# old setting: \\\nauth sufficient pam_permit.so\n",
        "auth sufficient pam_permit.so # \\\n",
        "auth sufficient pam_permit.so#x\n",
        "auth sufficient pam_succeed_if.so user = astreinte\n",
        "auth sufficient pam_exec.so /usr/local/bin/ouvre\n",
        "auth sufficient pam_wheel.so trust\n",
        "auth sufficient /lib/security/pam_permit.so\n",
        "auth sufficient /tmp/pam_unix.so\n",
        "auth sufficient ../../../tmp/pam_unix.so\n",
        "auth sufficient pam_u2f.so nouserok\n",
        "auth [success=done user_unknown=ignore default=die] pam_sss.so\nauth sufficient pam_permit.so\n",
        "auth [authinfo_unavail=1 default=die] pam_unix.so\nauth requisite pam_deny.so\nauth sufficient pam_permit.so\n",
        "auth required pam_google_authenticator.so nullok\nauth sufficient pam_permit.so\n",
        "auth required pam_unix.so\nauth [default=reset] pam_deny.so\nauth sufficient pam_permit.so\n",
        # A line that libpam cannot read still counts for a jump.
        "auth [default=2] pam_permit.so\nbogus optional x\nauth requisite pam_deny.so\nauth sufficient pam_permit.so\n",
        "auth [default=2] pam_permit.so\nauth [default=ignore]\nauth requisite pam_deny.so\nauth sufficient pam_permit.so\n",
    ],
)
def test_a_bypass_is_seen_however_it_is_written(lines: str) -> None:
    """Every spelling that libpam takes for a way in without a secret is one here."""
    assert opens(lines)


@pytest.mark.parametrize(
    "lines",
    [
        "# auth sufficient pam_permit.so\n",
        "#\fauth sufficient pam_permit.so\n",
        "session sufficient pam_permit.so\n",
        "auth required pam_permit.so\n",
        "auth optional pam_permit.so\n",
        "auth sufficient pam_unix.so nullok\n",
        "auth sufficient /usr/lib/x86_64-linux-gnu/security/pam_unix.so\n",
        "auth sufficient $ISA/pam_unix.so\n",
        "auth sufficient pam_rootok.so\n",
        "auth [SUCCESS=done] pam_permit.so\n",
        "auth [success=DONE] pam_permit.so\n",
        "auth [success=0] pam_permit.so\nauth sufficient pam_permit.so\n",
        "auth [success=done nonsense=ok] pam_permit.so\n",
        "auth [success=done pam_permit.so\n",
        "auth [default=bad success=done] pam_unix.so\n",
        "auth [success=9 default=ignore] pam_permit.so\n",
        "auth required pam_deny.so\nauth sufficient pam_permit.so\n",
        "auth\vsufficient pam_permit.so\n",
        "bogus required x\nauth sufficient pam_permit.so\n",
    ],
)
def test_what_opens_nothing_is_not_a_bypass(lines: str) -> None:
    """Lines that libpam does not follow, or that a later refusal stops, are no false alarm."""
    assert not opens(lines)


def test_a_comment_hides_nothing_that_python_calls_a_line() -> None:
    """Only a line feed ends a comment: a refusal behind a form feed is still one."""
    assert OPENS in found("# \fauth requisite pam_deny.so\n# \x85auth requisite pam_deny.so\nauth required pam_permit.so\n")


@pytest.mark.parametrize(
    ("lines", "files"),
    [
        ("@include door\n", {"door": "auth sufficient pam_permit.so\n"}),
        ("@INCLUDE\tdoor\n", {"door": "auth sufficient pam_permit.so\n"}),
        ("-@include door\n", {"door": "auth sufficient pam_permit.so\n"}),
        ("auth include door\n", {"door": "auth sufficient pam_permit.so\n"}),
        ("auth [include] door\n", {"door": "auth sufficient pam_permit.so\n"}),
        ("bogus include door\n", {"door": "auth sufficient pam_permit.so\n"}),
        ("auth include outer\n", {"outer": "@include door\n", "door": "auth sufficient pam_permit.so\n"}),
        # A substack counts as one for a jump, and has its own end and its own start.
        ("auth [success=1] pam_permit.so\nauth substack two\nauth sufficient pam_permit.so\n", {"two": DENY * 2}),
        ("auth substack two\nauth sufficient pam_permit.so\n", {"two": "auth [default=done] pam_permit.so\n" + DENY}),
    ],
)
def test_included_lines_count(lines: str, files: dict[str, str]) -> None:
    """Whatever way a file comes in, and inside another, its lines are followed."""
    assert opens(lines, **files)


def test_reset_goes_back_to_the_start_of_its_substack() -> None:
    """What was granted before a substack stands again after a reset inside it; at the top, nothing does."""
    assert OPENS in found(PERMIT + "auth substack two\n", two="auth [default=reset] pam_unix.so\n")
    assert OPENS not in found(PERMIT + "auth [default=reset] pam_unix.so\n")


@pytest.mark.parametrize(
    ("lines", "files"),
    [
        ("account include door\n", {"door": "auth sufficient pam_permit.so\n"}),
        ("auth substack door\n", {"door": "auth sufficient pam_permit.so\n"}),
        ("auth include absent\nauth sufficient pam_permit.so\n", {}),
        ("auth include x\nauth sufficient pam_permit.so\n", {}),
        ("auth substack x\nauth sufficient pam_permit.so\n", {}),
        ("auth [success=3] pam_permit.so\nauth substack two\nauth sufficient pam_permit.so\n", {"two": DENY * 2}),
        ("auth substack two\nauth sufficient pam_permit.so\n", {"two": "auth [default=5] pam_permit.so\n" + DENY}),
    ],
)
def test_what_an_include_leaves_out_does_not(lines: str, files: dict[str, str]) -> None:
    """Lines of another kind, missing files, loops, and jumps too far open nothing."""
    assert not opens(lines, **files)


@pytest.mark.parametrize(
    "lines",
    [
        "@include /root/common-auth\n",
        "auth include /etc/ssh/common-auth\n",
        "auth include ../common-auth\n",
        "auth required pam_unix.so\n#" + "x" * 1020 + "\nauth sufficient pam_permit.so\n",
        "#" + "é" * 600 + "\n",
        "auth sufficient \\\n# libpam 1.5 goes on after this line, 1.7 does not\npam_permit.so\n",
        "auth [success=4294967297 default=ignore] pam_permit.so\n",
        "@include x\n@include x\n@include x\n",
    ],
)
def test_what_cannot_be_followed_is_said(lines: str) -> None:
    """A file from elsewhere, or a line that versions of libpam read apart, is never taken for harmless."""
    assert any(gap.startswith("a des lignes qu'on ne peut suivre") for gap in found(lines + "@include common-auth\n"))


def test_a_full_path_names_that_very_file() -> None:
    """The copy of the distribution may be included under its own name, though /etc hides it."""
    listing = "\x1e/usr/lib/pam.d/x\nauth required pam_permit.so\n\x1e/etc/pam.d/x\nauth required pam_unix.so\n"
    services = read_services(listing + "\x1e/etc/pam.d/y\n@include /usr/lib/pam.d/x\n")
    assert [line.module for line in stack(services, "x", "auth")] == ["pam_unix.so"]
    assert [line.module for line in stack(services, "y", "auth")] == ["pam_permit.so"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "session required pam_unix.so\n"])
def test_a_kind_that_is_not_mentioned_is_that_of_other(text: str) -> None:
    """An open `other` opens each service that says nothing, and those that have no file."""
    services = {**COMMON, "x": text, "other": PERMIT}
    assert OPENS in gaps(services, "x") and OPENS in gaps(services, "absent")


def test_an_unreadable_line_is_not_silence() -> None:
    """A service with one line of a kind, be it wrong, does not take that of `other`."""
    assert OPENS not in gaps({**COMMON, "x": "auth required\n", "other": PERMIT}, "x")
    assert OPENS not in gaps({}, "x")


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        ("auth required pam_unix.so\n", LOCKED),
        ("auth optional pam_faillock.so preauth\nauth required pam_unix.so\n", LOCKED),
        ("auth required pam_faillock.so preauth\nauth required pam_unix.so\n", UNCOUNTED),
        ("auth required pam_faillock.so preauth authsucc\nauth required pam_unix.so\n", UNCOUNTED),
        (
            "auth required pam_faillock.so preauth\nauth requisite pam_unix.so\nauth required pam_faillock.so authfail\n",
            UNCOUNTED,
        ),
        ("auth required /tmp/pam_faillock.so preauth\nauth required pam_unix.so\n", LOCKED),
        ("account required pam_permit.so\n", EXPIRED),
        ("account sufficient pam_localuser.so\naccount required pam_unix.so\n", EXPIRED),
        ("account [default=bad success=ok acct_expired=ignore] pam_unix.so\naccount required pam_permit.so\n", EXPIRED),
        ("password required pam_unix.so\n", WEAK),
        ("password optional pam_pwquality.so\npassword required pam_unix.so\n", WEAK),
        ("password requisite pam_pwquality.so enforcing=0\npassword required pam_unix.so\n", WEAK),
        ("password requisite pam_passwdqc.so enforce=none\npassword required pam_unix.so\n", WEAK),
        ("password [success=ok maxtries=ignore default=die] pam_pwquality.so retry=1\npassword required pam_unix.so\n", WEAK),
    ],
)
def test_lockout_expiry_and_quality(text: str, gap: str) -> None:
    """A service that asks for its secret, yet forgets lockouts, failures, expiries or the quality of passwords, is told."""
    assert found(text) == [gap]


def test_answers_tell_which_modules_were_asked() -> None:
    """A stack ends in as many ways as its free modules allow, each with those that were met."""
    lines = stack({"x": "auth [success=1 default=ignore] pam_time.so\n" + DENY + "auth required pam_unix.so\n"}, "x", "auth")
    assert {(answer.success, *sorted(answer.met)) for answer in answers(lines, SECRET)} == {
        (False, "pam_deny.so", "pam_time.so"),
        (False, "pam_time.so", "pam_unix.so"),
    }
    assert answers([], SECRET) == {pam_stacks.Answer(False, frozenset())}


def test_arguments_keep_what_brackets_hold_together() -> None:
    """Brackets fall away, and what they hold is one argument."""
    line = stack({"x": "auth required pam_exec.so [a b\\] c] d\n"}, "x", "auth")
    assert line == [Line(pam_stacks.SIMPLE["required"], "pam_exec.so", ("a b] c", "d"))]


def test_services_that_a_program_may_ask_for() -> None:
    """Shared parts, leftovers and greeters are none; a name with a dot may well be one."""
    kept = ["cron", "org.example.app", "polkit-1", "sshd"]
    left = ["common-auth", "sshd.dpkg-dist", "sshd~", "sshd.bak", "sshd.20240131", ".sshd.swp", "gdm-launch-environment"]
    assert names(read_services("".join(f"\x1e/etc/pam.d/{name}\nauth required pam_unix.so\n\n" for name in kept + left))) == kept


def test_the_command_prints_each_file_apart(tmp_path: Path) -> None:
    """Names with blanks, files without a last line feed, masks and forged separators are read as libpam would."""
    vendor, local = tmp_path / "usr", tmp_path / "etc"
    for folder in (vendor, local):
        folder.mkdir()
    (vendor / "masked").write_text("auth sufficient pam_permit.so\n", "utf-8")
    (local / "masked").symlink_to("/dev/null")
    (local / "my app").write_text("auth required pam_unix.so", "utf-8")
    (local / "sshd").write_text("auth sufficient pam_permit.so\n", "utf-8")
    (local / "zz").write_text("#\x1e/etc/pam.d/sshd\nauth required pam_unix.so\n", "utf-8")
    (local / "zz\x1esshd\n#").write_text("", "utf-8")
    command = COMMAND.replace("/usr/lib/pam.d", str(vendor)).replace("/etc/pam.d", str(local))
    printed = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True).stdout
    services = read_services(printed.replace(str(vendor), "/usr/lib/pam.d").replace(str(local), "/etc/pam.d"))
    assert services["masked"].strip() == ""
    assert services["my app"].strip() == "auth required pam_unix.so"
    assert services["sshd"].strip() == "auth sufficient pam_permit.so"


def test_a_host_without_pam_has_no_service() -> None:
    """Nothing printed is nothing found: the caller must not take that for good."""
    assert read_services("") == {} == read_services("cat: /etc/pam.d/*: No such file\n")
