# The patients' portal, published on the Internet; it asks dpi1 for what it shows.
export DEBIAN_FRONTEND=noninteractive
apt-get -q -q install -y --no-install-recommends nginx openssl >/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj '/CN=portail.ch-demo.example' \
    -keyout /etc/ssl/private/portail.key -out /etc/ssl/certs/portail.pem 2>/dev/null
install -d /srv/portail
cat > /srv/portail/index.html <<'HTML'
<!doctype html>
<html lang="fr"><meta charset="utf-8"><title>Portail patient</title>
<h1>Centre hospitalier de démonstration</h1><p>Portail patient. <a href="/rendez-vous/">Mes rendez-vous</a></p></html>
HTML
cat > /etc/nginx/sites-available/default <<'SITE'
server {
    listen 80;
    listen [::]:80;
    return 301 https://$host$request_uri;
}
server {
    listen 443 ssl;
    listen [::]:443 ssl;
    ssl_certificate /etc/ssl/certs/portail.pem;
    ssl_certificate_key /etc/ssl/private/portail.key;
    root /srv/portail;
    location /rendez-vous/ {
        proxy_pass https://dpi1/rendez-vous/;
        proxy_connect_timeout 3s;
    }
}
SITE
systemctl --quiet enable nginx.service
systemctl restart nginx.service
