-- The first table. class: backward-compatible
create table orders (id serial primary key, note text, created timestamptz not null default now());
insert into orders (note) values ('the first bread');
