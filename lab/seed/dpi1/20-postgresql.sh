# The database server, with the application's own role and database.
systemctl enable --quiet --now postgresql.service
until runuser -u postgres -- pg_isready --quiet; do sleep 0.2; done
runuser -u postgres -- psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 <<'SQL'
CREATE ROLE dpi_app LOGIN;
CREATE ROLE dpi_lecture NOLOGIN;
CREATE DATABASE dpi OWNER dpi_app TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
SQL
