#!/bin/sh
# Brings Temporal's two databases to the schema of this version; changes nothing where they have it.
set -eu

for name in temporal visibility; do
    database=temporal
    [ "$name" = temporal ] || database=temporal_visibility
    tool() { temporal-sql-tool --plugin postgres12 --endpoint postgres --port 5432 --user temporal --database "$database" "$@"; }
    update() { tool update-schema --schema-dir "/etc/temporal/schema/postgresql/v12/$name/versioned"; }
    # A new database has no version yet, which makes the first update fail.
    update || { tool setup-schema --version 0.0 && update; }
done
