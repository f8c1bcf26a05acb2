# A web server and a database that care depends on, in the state that Debian gives them.
export DEBIAN_FRONTEND=noninteractive
apt-get -q -q install -y --no-install-recommends nginx >/dev/null
systemctl --quiet enable --now nginx.service postgresql.service
runuser -u postgres -- psql -q -X -v ON_ERROR_STOP=1 \
    -c 'CREATE TABLE IF NOT EXISTS sejour (id integer PRIMARY KEY, service text)' \
    -c "INSERT INTO sejour VALUES (1, 'cardiologie') ON CONFLICT DO NOTHING"
