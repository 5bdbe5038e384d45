#!/bin/sh
# Makes the namespace. Closed rounds stay readable for its retention, which must be longer than a restore may reach back.
set -eu

namespace=${CROUPIER_TEMPORAL_NAMESPACE:-croupier}
temporal operator cluster health
temporal operator namespace describe --namespace "$namespace" >/dev/null 2>&1 ||
    temporal operator namespace create --namespace "$namespace" --retention 168h
