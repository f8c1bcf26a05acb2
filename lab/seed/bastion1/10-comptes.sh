# The shared account of the firewall supplier, without an end date.
useradd --create-home --shell /bin/bash --comment 'Prestataire' --groups sudo admin
echo 'admin:Bastion2022' | chpasswd
