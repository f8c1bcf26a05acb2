# The share where the laboratory's software leaves its reports; in this demo only the host itself speaks SMB to it.
export DEBIAN_FRONTEND=noninteractive
systemctl --quiet mask nmbd.service samba-ad-dc.service
apt-get -q -q install -y --no-install-recommends samba smbclient >/dev/null
groupadd --force laboratoire
install -d -m 2770 -o root -g laboratoire /srv/partage
cat > /etc/samba/smb.conf <<'SHARES'
[global]
server role = standalone server
interfaces = lo
bind interfaces only = yes
disable netbios = yes
smb ports = 445
server min protocol = SMB3
load printers = no
disable spoolss = yes

[resultats]
path = /srv/partage
valid users = @laboratoire
read only = no
force create mode = 0660
SHARES
systemctl restart smbd.service
