"""What the host baseline knows of Debian: programs made for special rights, modules and services that a health site does without.

Role and tests read the same lists here; what a site adds to them is in its inventory (``system_hardening_…``).
"""

from __future__ import annotations

# Programs of Debian packages that were made to run with the rights of another account, by name: where they lie is checked too.
SPECIAL_PROGRAMS = frozenset(
    [
        "arping",
        "at",
        "bsd-write",
        "bwrap",
        "chage",
        "chfn",
        "chrome-sandbox",
        "chsh",
        "clockdiff",
        "crontab",
        "dbus-daemon-launch-helper",
        "dma",
        "dma-mbox-create",
        "dotlockfile",
        "dumpcap",
        "exim4",
        "expiry",
        "fping",
        "fusermount",
        "fusermount3",
        "gpasswd",
        "gst-ptp-helper",
        "ksu",
        "locate",
        "lockspool",
        "mail-lock",
        "mail-touchlock",
        "mail-unlock",
        "mlocate",
        "mount",
        "mount.cifs",
        "mount.ecryptfs_private",
        "mount.nfs",
        "mtr-packet",
        "newgidmap",
        "newgrp",
        "newuidmap",
        "nvidia-modprobe",
        "pam_extrausers_chkpwd",
        "pam_timestamp_check",
        "passwd",
        "ping",
        "ping4",
        "ping6",
        "pkexec",
        "plocate",
        "polkit-agent-helper-1",
        "postdrop",
        "postqueue",
        "pppd",
        "procmail",
        "screen",
        "sendmail",
        "ssh-agent",
        "ssh-keysign",
        "staprun",
        "su",
        "sudo",
        "traceroute6.iputils",
        "umount",
        "unix_chkpwd",
        "usernetctl",
        "utempter",
        "wall",
        "write",
        "write.ul",
        "Xorg.wrap",
    ]
)
SPECIAL_FOLDERS = ("/usr/bin/", "/usr/sbin/", "/usr/lib/", "/usr/libexec/")

# Of these, the ones that a server does without: they let an ordinary account act as root (BP-028 R57).
NEEDLESS_PROGRAMS = (
    "/usr/bin/chfn",
    "/usr/bin/chsh",
    "/usr/bin/gpasswd",
    "/usr/bin/mount",
    "/usr/bin/newgrp",
    "/usr/bin/umount",
    "/usr/lib/openssh/ssh-keysign",
)

# File systems and protocols that nobody uses on these hosts, and in which most local flaws of the kernel are found.
NEEDLESS_MODULES = (
    "af_802154",
    "affs",
    "atm",
    "ax25",
    "can",
    "cramfs",
    "dccp",
    "freevxfs",
    "hfs",
    "hfsplus",
    "jffs2",
    "n_hdlc",
    "netrom",
    "p8022",
    "p8023",
    "psnap",
    "rds",
    "rose",
    "sctp",
    "tipc",
    "x25",
)

# Services that a server does not need, or that nothing protects; and the packages that bring only what nobody should use.
NEEDLESS_SERVICES = (
    "avahi-daemon.service",
    "avahi-daemon.socket",
    "cups-browsed.service",
    "cups.service",
    "cups.socket",
    "inetd.service",
    "ModemManager.service",
    "nis.service",
    "openbsd-inetd.service",
    "rpcbind.service",
    "rpcbind.socket",
    "rsh.socket",
    "rlogin.socket",
    "rexec.socket",
    "telnet.socket",
    "tftpd-hpa.service",
    "vsftpd.service",
    "xinetd.service",
    "ypserv.service",
)
NEEDLESS_PACKAGES = (
    "inetutils-telnetd",
    "nis",
    "rsh-client",
    "rsh-server",
    "rsh-redone-client",
    "rsh-redone-server",
    "talk",
    "talkd",
    "telnetd",
    "telnetd-ssl",
    "tftpd",
    "ypbind-mt",
    "ypserv",
)

# Words of the kernel's command line that switch off a protection of the processor or of the kernel's memory.
PROTECTIONS_OFF = (
    "gather_data_sampling=off",
    "init_on_alloc=0",
    "kpti=0",
    "l1tf=off",
    "mds=off",
    "mitigations=off",
    "mmio_stale_data=off",
    "nokaslr",
    "nopti",
    "nosmap",
    "nosmep",
    "nospec_store_bypass_disable",
    "nospectre_bhb",
    "nospectre_v1",
    "nospectre_v2",
    "pti=off",
    "reg_file_data_sampling=off",
    "retbleed=off",
    "spec_rstack_overflow=off",
    "spec_store_bypass_disable=off",
    "spectre_bhi=off",
    "spectre_v2=off",
    "spectre_v2_user=off",
    "srbds=off",
    "tsx_async_abort=off",
)

# Parameters of BP-028 (R8, R7) by what a site asks for: memory costs nothing that is felt; costly means a processor without
# hyper-threading, memory filled at each release, a halt at its first fault; iommu, a start that old hardware may not survive.
BOOT_PARAMETERS = {
    "memory": ("slab_nomerge=yes", "page_alloc.shuffle=1", "rng_core.default_quality=500", "spec_store_bypass_disable=seccomp"),
    "costly": (
        "pti=on",
        "spectre_v2=on",
        "l1tf=full,force",
        "mds=full,nosmt",
        "page_poison=1",
        "slub_debug=FZP",
        "mce=0",
    ),
    "iommu": ("iommu=force",),
}

# Subordinate ids and those that systemd gives while a service runs are nobody's by name, and in order.
DYNAMIC_IDS = (61184, 65519)


def lists() -> dict[str, list[str]]:
    """Return every list by name, for the role."""
    return {
        "special_programs": sorted(SPECIAL_PROGRAMS),
        "special_folders": list(SPECIAL_FOLDERS),
        "needless_programs": list(NEEDLESS_PROGRAMS),
        "needless_modules": list(NEEDLESS_MODULES),
        "needless_services": list(NEEDLESS_SERVICES),
        "needless_packages": list(NEEDLESS_PACKAGES),
        "protections_off": list(PROTECTIONS_OFF),
        **{f"boot_{name}": list(words) for name, words in BOOT_PARAMETERS.items()},
    }
