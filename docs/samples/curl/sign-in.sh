#!/usr/bin/env bash
# A whole sign-in by hand: bash, curl and openssl. It prints an address; open it in a browser, sign in, and paste the
# address the browser came to (the page itself need not exist).
#   ISSUER=... CLIENT_ID=... CLIENT_SECRET=... REDIRECT_URI=... bash sign-in.sh
set -euo pipefail

random() { openssl rand -base64 48 | tr '+/' '-_' | tr -d '=\n'; }
member() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }  # of flat JSON as this server writes it; else use jq
base64url_decoded() {
  local text
  text=$(tr '_-' '/+')
  while [ $((${#text} % 4)) -ne 0 ]; do text+='='; done
  printf %s "$text" | openssl base64 -A -d
}
parameter() { sed -n "s/.*[?&]$1=\([^&]*\).*/\1/p"; }

metadata=$(curl -sf "$ISSUER/.well-known/openid-configuration")
endpoint() { printf %s "$metadata" | member "$1"; }
[ "$(endpoint issuer)" = "$ISSUER" ]

verifier=$(random) state=$(random) nonce=$(random)
challenge=$(printf %s "$verifier" | openssl dgst -sha256 -binary | openssl base64 -A | tr '+/' '-_' | tr -d '=')
printf '%s?response_type=code&client_id=%s&redirect_uri=%s&scope=%s&state=%s&nonce=%s&code_challenge=%s&code_challenge_method=S256\n' \
  "$(endpoint authorization_endpoint)" "$CLIENT_ID" "$REDIRECT_URI" openid%20profile%20offline_access "$state" "$nonce" "$challenge"

read -r came_back
[ "$(printf %s "$came_back" | parameter state)" = "$state" ] || { echo "another sign-in's answer" >&2; exit 1; }
issuer=$(printf %s "$came_back" | parameter iss | sed 's/%3A/:/g; s/%2F/\//g')
[ "$issuer" = "$ISSUER" ] || { echo "another server's answer (RFC 9207)" >&2; exit 1; }

# Redeem the code: it lives for one minute and is good once. The secret goes in through a file descriptor: arguments are
# seen by everybody on the machine.
as_client() { curl -s --config <(printf 'user = "%s:%s"\n' "$CLIENT_ID" "$CLIENT_SECRET") "$@"; }
tokens=$(as_client "$(endpoint token_endpoint)" -d grant_type=authorization_code \
  -d "code=$(printf %s "$came_back" | parameter code)" -d "redirect_uri=$REDIRECT_URI" -d "code_verifier=$verifier")
echo "$tokens" | sed 's/"\(access_token\|refresh_token\|id_token\)":"\([^"]\{6\}\)[^"]*"/"\1":"\2…"/g'

# The ID token's claims. A platform verifies the signature with a library before it believes them.
claims=$(printf %s "$tokens" | member id_token | cut -d. -f2 | base64url_decoded)
[ "$(printf %s "$claims" | member nonce)" = "$nonce" ] || { echo "an ID token of another request" >&2; exit 1; }

curl -s --config <(printf 'header = "Authorization: Bearer %s"\n' "$(printf %s "$tokens" | member access_token)") \
  "$(endpoint userinfo_endpoint)"
echo

renewed=$(as_client "$(endpoint token_endpoint)" -d grant_type=refresh_token \
  -d "refresh_token=$(printf %s "$tokens" | member refresh_token)")
as_client "$(endpoint introspection_endpoint)" -d "token=$(printf %s "$renewed" | member access_token)"
echo
as_client "$(endpoint revocation_endpoint)" -d "token=$(printf %s "$renewed" | member refresh_token)"
as_client "$(endpoint introspection_endpoint)" -d "token=$(printf %s "$renewed" | member access_token)"
echo
