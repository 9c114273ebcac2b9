#!/usr/bin/env bash
# Applies the migrations that the database has not had, each in one transaction with its line in the ledger.
set -euo pipefail
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 \
    --command 'create table if not exists migrations (name text primary key, applied timestamptz not null default now())'
for file in migrations/*.sql; do
    name="$(basename "$file" .sql)"
    [ -z "$(psql --no-psqlrc --tuples-only --no-align --command "select 1 from migrations where name = '$name'")" ] || continue
    echo "applying $name"
    psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --single-transaction \
        --file "$file" --command "insert into migrations (name) values ('$name')"
done
