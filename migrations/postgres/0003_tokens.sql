-- Bearer tokens of the admin face (PostgreSQL).

create table if not exists mogul_token (
    token_id varchar(16) collate "C" not null,  -- public half, hex
    name varchar(64) collate "C" not null,  -- what operators call it
    hash varchar(64) collate "C" not null,  -- SHA-256 of the secret half, hex: the secret itself is nowhere
    created_at bigint not null,  -- when: milliseconds since 1970
    primary key (token_id),
    unique (name)
);
