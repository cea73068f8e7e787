#!/bin/sh
# Created by exasol-ci-setup hosted init. Runs as root: tests the configuration of nginx, or reloads nginx, and stores the result.
# The user of the service controls the request, so nothing else is accepted. The answer is in a directory of root.
set -eu
request=/run/hosted/nginx-request
answer=/run/hosted-nginx/answer
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

id= action=
if [ -f "$request" ] && [ ! -L "$request" ]; then
  read -r id action <"$request" || true
fi
rm -f "$request"
case $id in
  '' | *[!0-9a-f]*) exit 0 ;;
esac
case $action in
  test) set -- -T ;;
  reload) set -- -s reload ;;
  *) exit 0 ;;
esac

umask 077
rm -f "$answer" "$answer.out" "$answer.err"
status=0
nginx "$@" >"$answer.out" 2>"$answer.err" || status=$?
echo "$id $status" >"$answer.new"
chown hosted "$answer.out" "$answer.err" "$answer.new"
mv "$answer.new" "$answer"
