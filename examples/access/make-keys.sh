# Makes a server key of the back end, and a pair of keys for its users' tokens, in the current directory.
set -eu
[ ! -e private.pem ] || { echo 'private.pem exists already' >&2; exit 1; }
umask 077
chinwag keys new backend --append keys.txt >backend.key
openssl genpkey -algorithm ed25519 -out private.pem
x=$(openssl pkey -in private.pem -pubout -outform DER | tail -c 32 | basenc --base64url | tr -d =)
printf '{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"2026-11","x":"%s"}]}\n' "$x" >token-keys.json
