# What the network sees of the patient record: the application over HTTPS, and the database for the workstations.
export DEBIAN_FRONTEND=noninteractive
apt-get -q -q install -y --no-install-recommends nginx openssl >/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj '/CN=dpi1' \
    -keyout /etc/ssl/private/dpi.key -out /etc/ssl/certs/dpi.pem 2>/dev/null
cat > /etc/nginx/sites-available/default <<'SITE'
server {
    listen 443 ssl;
    listen [::]:443 ssl;
    ssl_certificate /etc/ssl/certs/dpi.pem;
    ssl_certificate_key /etc/ssl/private/dpi.key;
    default_type "text/html; charset=utf-8";
    location / { return 401 "<p>Dossier patient : identifiez-vous.</p>"; }
    location = /rendez-vous/ { return 200 "<p>Aucun rendez-vous à venir.</p>"; }
}
SITE
systemctl --quiet enable nginx.service
systemctl restart nginx.service

# Readers of the workstations use the database itself, over TLS and with a password.
cluster=$(find /etc/postgresql -mindepth 2 -maxdepth 2 -type d)
echo "listen_addresses = '*'" > "$cluster/conf.d/reseau.conf"
echo 'hostssl dpi dpi_lecture all scram-sha-256' >> "$cluster/pg_hba.conf"
systemctl restart postgresql.service
until runuser -u postgres -- pg_isready --quiet; do sleep 0.2; done
