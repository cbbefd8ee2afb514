-- Files whose bytes are to be digested (PostgreSQL).

-- Files that a MogileFS client or another tracker stored: their MD5 and CRC64 are not known yet. A row goes when they are.
create table if not exists mogul_digest (
    fid bigint not null,  -- the file
    nexttry bigint not null,  -- not before: seconds since 1970, as in MogileFSs queues
    failcount integer not null,  -- failed attempts
    primary key (fid)
);
create index if not exists mogul_digest_nexttry on mogul_digest (nexttry);
