-- The first table. class: backward-compatible
create table orders (id serial primary key, note text, created timestamptz not null default now());
-- The orders of the years before.
insert into orders (note, created) select 'bread', now() - interval '1 year' from generate_series(1, 50000);
