-- Bearer tokens of the admin face (MySQL and MariaDB).

create table if not exists mogul_token (
    token_id VARCHAR(16) character set ascii collate ascii_bin not null,  -- public half, hex
    name VARCHAR(64) character set ascii collate ascii_bin not null,  -- what operators call it
    hash VARCHAR(64) character set ascii collate ascii_bin not null,  -- SHA-256 of the secret half, hex: the secret itself is nowhere
    created_at BIGINT not null,  -- when: milliseconds since 1970
    primary key (token_id),
    unique key mogul_token_name (name)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;
