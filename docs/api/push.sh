#!/bin/sh
# What a portal does: wraps a hop request in an event, signs it as Standard Webhooks says (HMAC-SHA256, `v1`) and pushes it.
#
#   docs/api/push.sh URL SECRETS REQUEST.json      push.sh http://127.0.0.1:8443 portal.secrets request.json
#
# SECRETS is the portal's file on our side: the first line `whsec_…` of it is taken. Needs openssl and curl.
set -eu
url=$1 secrets=$2 request=$3

id="msg_$(openssl rand -hex 8)"
now=$(date +%s)
body=$(printf '{"type":"hop_request.created","timestamp":"%s","data":%s}' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(cat "$request")")
key=$(sed -n 's/^whsec_//p' "$secrets" | head -n 1 | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
signature=$(printf '%s.%s.%s' "$id" "$now" "$body" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)

curl --silent --show-error --fail-with-body "$url/v1/hop-requests" -H 'Content-Type: application/json' \
  -H "webhook-id: $id" -H "webhook-timestamp: $now" -H "webhook-signature: v1,$signature" --data-binary "$body"
echo
