# What years of work left on the patient-record server.
groupadd dpi-soin

# A doctor with an account made by hand, and a doctor who has left but whose account nobody closed.
useradd --create-home --shell /bin/bash --comment 'Claire Lemoine' --groups dpi-soin clemoine
echo 'clemoine:Soleil2023' | chpasswd
useradd --create-home --shell /bin/bash --comment 'Julien Roux' --groups dpi-soin jroux
echo 'jroux:azerty' | chpasswd
install -d -m 700 -o jroux -g jroux /home/jroux/.ssh
cat > /home/jroux/.ssh/authorized_keys <<'KEYS'
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDICHEY7IqTRwAN1ofQVOaKPO/AmXHSy0TsdxLXQTkXW demo4
KEYS
chown jroux:jroux /home/jroux/.ssh/authorized_keys
chmod 600 /home/jroux/.ssh/authorized_keys

# The account that the whole team shares, and a right given one evening and never taken back.
useradd --create-home --shell /bin/bash --comment 'Compte partagé' --groups sudo admin
echo 'admin:admin' | chpasswd
cat > /etc/sudoers.d/editeur-dpi <<'RULES'
# Intervention éditeur du 12/03, à retirer
jroux ALL=(root) NOPASSWD: /usr/bin/systemctl * postgresql*, /usr/bin/less /var/log/*
RULES
chmod 440 /etc/sudoers.d/editeur-dpi
