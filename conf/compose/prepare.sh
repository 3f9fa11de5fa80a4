#!/bin/sh
# Creates the files that compose.yaml expects in conf/compose/secrets: passwords, the master key, a certificate for localhost.
# Existing files are kept.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 0700 secrets
# The user in the container is another one than on the host. It is given this group to read the files.
echo "SECRETS_GROUP=$(id -g)" >.env
cd secrets
umask 027

if [ ! -e master_key ]; then
    openssl rand -base64 32 >master_key
    openssl rand -hex 24 | tr -d '\n' >database_password
    openssl rand -hex 24 | tr -d '\n' >redis_password
    printf 'postgres://guarita:%s@postgres/guarita?sslmode=disable' "$(cat database_password)" >database_url
    printf 'redis://:%s@redis:6379/0' "$(cat redis_password)" >redis_url
fi
if [ ! -e certificate.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -keyout certificate.key -out certificate.pem 2>/dev/null
    chmod 0640 certificate.key
fi
echo "conf/compose/secrets is ready"
