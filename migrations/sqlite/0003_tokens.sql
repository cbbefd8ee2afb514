-- Bearer tokens of the admin face (SQLite).

create table if not exists mogul_token (
    token_id VARCHAR(16) not null,  -- public half, hex
    name VARCHAR(64) not null,  -- what operators call it
    hash VARCHAR(64) not null,  -- SHA-256 of the secret half, hex: the secret itself is nowhere
    created_at INTEGER not null,  -- when: milliseconds since 1970
    primary key (token_id),
    unique (name)
);
