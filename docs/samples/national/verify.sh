#!/usr/bin/env bash
# Verify a token signed with SM2 by the openssl command (3.0 or newer) alone: bash verify.sh TOKEN X Y
# X and Y are the coordinates of the key as they stand in the key set. Ends with 0 and "Verified OK", or not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

hex() {  # of base64url
  local text
  text=$(printf %s "$1" | tr '_-' '/+')
  while [ $((${#text} % 4)) -ne 0 ]; do text+='='; done
  printf %s "$text" | openssl base64 -A -d | od -An -v -tx1 | tr -d ' \n'
}

signature=$(hex "${1##*.}")
[ ${#signature} -eq 128 ]  # r and s, 32 bytes each
printf %s "${1%.*}" > "$folder/input"
printf 'asn1=SEQUENCE:s\n[s]\nr=INTEGER:0x%s\ns=INTEGER:0x%s\n' "${signature:0:64}" "${signature:64}" > "$folder/signature.conf"
openssl asn1parse -noout -genconf "$folder/signature.conf" -out "$folder/signature.der"
# SubjectPublicKeyInfo of a key on the SM2 curve, 1.2.156.10197.1.301
printf 'asn1=SEQUENCE:k\n[k]\na=SEQUENCE:a\np=FORMAT:HEX,BITSTRING:04%s%s\n[a]\nt=OID:1.2.840.10045.2.1\nc=OID:1.2.156.10197.1.301\n' \
  "$(hex "$2")" "$(hex "$3")" > "$folder/key.conf"
openssl asn1parse -noout -genconf "$folder/key.conf" -out "$folder/key.der"
openssl pkey -pubin -inform DER -in "$folder/key.der" -out "$folder/key.pem"
openssl dgst -sm3 -verify "$folder/key.pem" -signature "$folder/signature.der" -sigopt distid:1234567812345678 "$folder/input"
