# One digest of what an audit must not change: kind, mode, owner, size of every file that belongs to the
# host's set-up or data, and the content of those that are not programs. Logs, caches and the state that
# systemd, sudo and PostgreSQL rewrite by themselves are left out, and, by name, what Debian's daily jobs do at midnight.
set -f
cd /
kept='etc home opt root srv usr/local var/lib var/spool var/backups'
state='-path var/lib/systemd -o -path var/lib/postgresql -o -path var/lib/sudo -o -path var/lib/private -o -path var/lib/apt/periodic'
daily='-path var/lib/logrotate/status -o -path var/backups/dpkg.* -o -path var/backups/apt.extended_states*
    -o -path var/backups/alternatives.tar.*'
pruned="( $state -o $daily )"
{
    find usr -xdev ! -name __pycache__ ! -name '*.pyc' ! -type d -printf '%p %y %m %U %G %s %l\n'
    find $kept -xdev $pruned -prune -o ! -type d -printf '%p %y %m %U %G %s %l\n' -o -printf '%p %y %m %U %G\n'
    find $kept -xdev $pruned -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
} | LC_ALL=C sort | sha256sum | cut -d' ' -f1
