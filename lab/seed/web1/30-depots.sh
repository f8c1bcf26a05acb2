# What patients leave on the portal: PUT into a folder that the web server alone writes. The portal itself calls it, from this host.
install -d -m 0750 -o www-data -g www-data /srv/depots
cat > /etc/nginx/conf.d/depots.conf <<'SITE'
server {
    listen 127.0.0.1:8081;
    root /srv/depots;
    client_max_body_size 50m;
    location / {
        dav_methods PUT;
        dav_access user:rw;
    }
}
SITE
systemctl restart nginx.service
