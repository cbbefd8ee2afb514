-- MogileFS's own tables at its schema version 17 (PostgreSQL), as its mogdbsetup 2.73 makes them. Original trackers run on them.
-- One difference, in fresh databases only: dkey is compared by bytes and has room for 1,024 of them.
-- "if not exists" because a database that mogdbsetup made has them already and keeps its own.

-- A namespace of keys; S3 calls it a bucket.
create table if not exists domain (
    dmid smallint not null,  -- number of the domain; assigned as max + 1
    namespace varchar(255),  -- its name
    primary key (dmid),
    unique (namespace)
);

-- How files of one kind in a domain are replicated. The class `default` (classid 0) exists without a row.
create table if not exists class (
    dmid smallint not null,  -- the domain
    classid smallint not null,  -- number of the class in its domain; assigned as max + 1
    classname varchar(50),  -- its name
    mindevcount smallint not null,  -- copies wanted
    hashtype smallint,  -- digest kept in `checksum`: 1 MD5, 2 SHA-1; null for none
    replpolicy varchar(255),  -- replication policy, such as MultipleHosts(); null for the default one
    primary key (dmid, classid),
    unique (dmid, classname)
);

-- A stored file. One row for each fid that is not still being uploaded.
create table if not exists file (
    fid bigint not null,  -- number of the stored file; never used twice
    dmid smallint not null,  -- its domain
    dkey varchar(1024) collate "C",  -- its key. Bytes, not letters, are compared and sorted (S3 wants that; MogileFS left it to the database);
                             -- up to 1,024 bytes (MogileFS: 255 characters)
    length bigint check (length >= 0),  -- size in bytes
    classid smallint not null,  -- its class
    devcount smallint not null,  -- number of rows in file_on, for statistics only
    primary key (fid),
    unique (dmid, dkey)
);
create index if not exists file_devcount on file (dmid, classid, devcount);

-- An upload by a MogileFS client that is not closed yet. Its generator numbers all fids of the cluster.
create table if not exists tempfile (
    fid serial not null,  -- number of the file to be
    createtime integer not null,  -- when it was opened: seconds since 1970
    classid smallint not null,  -- class of the file to be
    dmid smallint not null,  -- domain of the file to be
    dkey varchar(1024) collate "C",  -- key of the file to be
    devids varchar(60),  -- devices offered to the client, separated by commas
    primary key (fid)
);

-- Where copies of a file are believed to be. A row is written after the device has the bytes.
create table if not exists file_on (
    fid bigint not null,  -- the file
    devid smallint not null,  -- a device that has a copy
    primary key (fid, devid)
);
create index if not exists file_on_devid on file_on (devid);

-- Copies known to be bad. MogileFS made the table and never used it.
create table if not exists file_on_corrupt (
    fid bigint not null,  -- the file
    devid smallint not null,  -- the device
    primary key (fid, devid)
);

-- A machine with devices.
create table if not exists host (
    hostid smallint not null check (hostid >= 0),  -- number of the host; assigned as max + 1
    status varchar(8) constraint status check (status in ('alive', 'dead', 'down', 'readonly')),  -- what the operator says of it
    http_port integer default 7500 check (http_port >= 0) check (http_port < 65536),  -- port of the storage node
    http_get_port integer check (http_get_port >= 0) check (http_get_port < 65536),  -- port for reads, if another
    hostname varchar(40),  -- its name
    hostip varchar(15),  -- its address
    altip varchar(15),  -- its address for clients of the network altmask
    altmask varchar(18),  -- network that uses altip
    primary key (hostid),
    unique (hostname),
    unique (hostip),
    unique (altip)
);

-- A file system of a host that keeps copies.
create table if not exists device (
    devid smallint not null check (devid >= 0),  -- number of the device, as in its directory devN
    hostid smallint not null,  -- its host
    status varchar(8) check (status in ('alive', 'dead', 'down', 'readonly', 'drain')),  -- what the operator says of it
    weight integer default 100,  -- share of new files, relative to others
    mb_total integer check (mb_total >= 0),  -- size in MiB, as last measured
    mb_used integer check (mb_used >= 0),  -- used MiB, as last measured
    mb_asof integer check (mb_asof >= 0),  -- when that was: seconds since 1970, clock of the tracker
    primary key (devid)
);
create index if not exists device_status on device (status);

-- Settings that all trackers share, and their versions of this schema.
create table if not exists server_settings (
    field varchar(50) not null,  -- name of the setting
    value text,  -- its value
    primary key (field)
);

-- Files that may need more copies.
create table if not exists file_to_replicate (
    fid bigint not null,  -- the file
    nexttry integer not null,  -- not before: seconds since 1970; 0 at once; 2147483647 end of time
    fromdevid integer,  -- device that the copy should be read from, if one is wanted
    failcount smallint not null default 0,  -- failed attempts
    flags smallint not null default 0,  -- unused
    primary key (fid)
);
create index if not exists file_to_replicate_nexttry on file_to_replicate (nexttry);

-- Files to be deleted: the oldest queue, still drained.
create table if not exists file_to_delete (
    fid bigint not null,  -- the file
    primary key (fid)
);

-- Files to be deleted at a time: an old queue, still drained.
create table if not exists file_to_delete_later (
    fid bigint not null,  -- the file
    delafter integer not null,  -- not before: seconds since 1970
    primary key (fid)
);
create index if not exists file_to_delete_later_delafter on file_to_delete_later (delafter);

-- Fids whose copies are to be deleted.
create table if not exists file_to_delete2 (
    fid bigint not null,  -- the fid
    nexttry integer not null,  -- not before: seconds since 1970
    failcount smallint not null default 0,  -- failed attempts
    primary key (fid)
);
create index if not exists file_to_delete2_nexttry on file_to_delete2 (nexttry);

-- Files without a readable copy. Unused since MogileFS 2.72.
create table if not exists unreachable_fids (
    fid bigint not null,  -- the file
    lastupdate integer not null,  -- when that was seen: seconds since 1970
    primary key (fid)
);
create index if not exists unreachable_fids_lastupdate on unreachable_fids (lastupdate);

-- Files that fsck (type 1) or rebalance (type 2) has still to look at.
create table if not exists file_to_queue (
    fid bigint not null,  -- the file
    devid integer,  -- device that rebalance takes it from
    type smallint not null,  -- 1 fsck, 2 rebalance
    nexttry integer not null,  -- not before: seconds since 1970
    failcount smallint not null default 0,  -- failed attempts
    flags smallint not null default 0,  -- unused
    arg text,  -- what the worker is told
    primary key (fid, type)
);
create index if not exists type_nexttry on file_to_queue (type, nexttry);

-- What fsck found.
create table if not exists fsck_log (
    logid serial not null,  -- number of the finding
    utime integer not null,  -- when: seconds since 1970
    fid bigint,  -- the file
    evcode char(4),  -- what: GONE, MISS, POVI, SRCH, …
    devid smallint,  -- the device
    primary key (logid)
);
create index if not exists fsck_log_utime on fsck_log (utime);

-- Digests of files whose class asks for them.
create table if not exists checksum (
    fid bigint not null,  -- the file
    hashtype smallint not null,  -- 1 MD5, 2 SHA-1
    checksum bytea not null,  -- the digest, raw
    primary key (fid)
);

-- Who works on what. SQLite trackers use it; PostgreSQL trackers made it and use advisory locks; MySQL has none.
create table if not exists lock (
    lockid integer not null check (lockid >= 0),  -- hash of the name of the lock
    hostname varchar(255) not null,  -- who holds it
    pid integer not null check (pid >= 0),  -- its process
    acquiredat integer not null check (acquiredat >= 0),  -- since when: seconds since 1970
    primary key (lockid)
);
