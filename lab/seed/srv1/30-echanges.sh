# The folder where a laboratory leaves its results, for those of its group.
groupadd --force echanges
install -d -m 2770 -o root -g echanges /srv/echanges
