# A workstation that its former user administered alone.
useradd --create-home --shell /bin/bash --comment 'Julien Roux' --groups sudo jroux
echo 'jroux:azerty' | chpasswd
echo 'jroux ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/90-jroux
chmod 440 /etc/sudoers.d/90-jroux
