# Root over SSH with a password, "for the time of the migration".
echo 'PermitRootLogin yes' > /etc/ssh/sshd_config.d/10-migration.conf
echo 'root:Toulouse31' | chpasswd
systemctl reload ssh.service
# A log collector's account that anyone may log in with.
useradd --create-home --shell /bin/bash --comment 'Collecte des journaux' collecte
echo 'collecte:collecte' | chpasswd
