-- Files whose bytes are to be digested (MySQL and MariaDB).

-- Files that a MogileFS client or another tracker stored: their MD5 and CRC64 are not known yet. A row goes when they are.
create table if not exists mogul_digest (
    fid BIGINT UNSIGNED not null,  -- the file
    nexttry BIGINT not null,  -- not before: seconds since 1970, as in MogileFSs queues
    failcount INT not null,  -- failed attempts
    primary key (fid),
    key mogul_digest_nexttry (nexttry)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;
