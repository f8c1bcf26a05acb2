# A web server and a database that care depends on, in the state that Debian gives them; for the machine itself, since no flow
# of the demo comes here.
export DEBIAN_FRONTEND=noninteractive
apt-get -q -q install -y --no-install-recommends nginx >/dev/null
sed -i 's/listen 80 /listen 127.0.0.1:80 /; /listen \[::\]:80/d' /etc/nginx/sites-available/default
systemctl restart nginx.service
systemctl --quiet enable --now nginx.service postgresql.service
runuser -u postgres -- psql -q -X -v ON_ERROR_STOP=1 \
    -c 'CREATE TABLE IF NOT EXISTS sejour (id integer PRIMARY KEY, service text)' \
    -c "INSERT INTO sejour VALUES (1, 'cardiologie') ON CONFLICT DO NOTHING"
