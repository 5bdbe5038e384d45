#!/bin/sh
# Makes the namespace, and what rounds are found by in it (contracts/search.py). Closed rounds stay readable for its
# retention, which must be longer than a restore may reach back.
set -eu

namespace=${CROUPIER_TEMPORAL_NAMESPACE:-croupier}
temporal operator cluster health
temporal operator namespace describe --namespace "$namespace" >/dev/null 2>&1 ||
    temporal operator namespace create --namespace "$namespace" --retention 168h

# A frontend needs a moment to know a new namespace.
tries=0
until known=$(temporal operator search-attribute list --namespace "$namespace" 2>&1); do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || { echo "$known" >&2 && exit 1; }
    sleep 1
done
for name in CroupierOperator CroupierGame CroupierPlayer CroupierMode CroupierStake CroupierKind; do
    case $known in
    *"$name"*) ;;
    *) temporal operator search-attribute create --namespace "$namespace" --name "$name" --type Keyword ;;
    esac
done
