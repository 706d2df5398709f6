#!/bin/sh
# The secrets of the Compose stack: made at random at the first start, each in the volume of those who need it, so that none
# stands in a file of the repository or in a variable. Without an argument it makes what is not there yet.
set -eu
cd /secrets

random() { od -An -N 24 -t x1 /dev/urandom | tr -d ' \n'; }

case "${1:-make}" in
  api-key | grafana-password) exec cat "people/$1" ;;
  make) ;;
  *)
    echo 'secrets: give api-key or grafana-password to be shown it' >&2
    exit 2
    ;;
esac

if [ -e people/complete ]; then
  echo 'secrets: they are all there'
  exit
fi

# The volumes, not the files, say who may read: each is mounted only where it is needed.
umask 022
scopes=servers:launch,tools:call,svg:generate,servers:publish
mcp-server keys new --name worker --scope "$scopes" >people/new
sed -n 1p people/new >worker/api-key
sed -n 2p people/new >server/api-keys
mcp-server keys new --name people --scope "$scopes" >people/new
sed -n 1p people/new >people/api-key
sed -n 2p people/new >>server/api-keys
rm people/new

password=$(random)
echo "redis://:$password@redis:6379" >server/redis-url
# Redis keeps the hash, as the server does of its keys.
echo "user default on #$(printf %s "$password" | sha256sum | cut -d ' ' -f 1) ~* &* +@all" >redis/users.acl

password=$(random)
echo "$password" >postgres/password
echo "postgres://mcp:$password@postgres:5432/mcp" >server/database-url

random >grafana/password
cp grafana/password people/grafana-password
touch people/complete
echo 'secrets: made'
