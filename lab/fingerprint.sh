# One digest of what an audit must not change: kind, mode, owner, size of every file that belongs to the
# host's set-up or data, and the content of those that are not programs. Logs, caches and the state that
# systemd, sudo, PostgreSQL and, at midnight, the daily jobs of Debian rewrite by themselves are left out.
cd /
kept='etc home opt root srv usr/local var/lib var/spool'
pruned='( -path var/lib/systemd -o -path var/lib/postgresql -o -path var/lib/sudo -o -path var/lib/private -o -path var/lib/apt/periodic -o -path var/lib/logrotate )'
{
    find usr -xdev ! -name __pycache__ ! -name '*.pyc' ! -type d -printf '%p %y %m %U %G %s %l\n'
    find $kept -xdev $pruned -prune -o ! -type d -printf '%p %y %m %U %G %s %l\n' -o -printf '%p %y %m %U %G\n'
    find $kept -xdev $pruned -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
} | LC_ALL=C sort | sha256sum | cut -d' ' -f1
