-- MogileFS's own tables at its schema version 17 (SQLite), as its mogdbsetup 2.73 makes them. Original trackers run on them.
-- One difference, in fresh databases only: dkey is compared by bytes and has room for 1,024 of them.
-- "if not exists" because a database that mogdbsetup made has them already and keeps its own.

-- A namespace of keys; S3 calls it a bucket.
create table if not exists domain (
    dmid SMALLINT UNSIGNED not null,  -- number of the domain; assigned as max + 1
    namespace VARCHAR(255),  -- its name
    primary key (dmid),
    unique (namespace)
);

-- How files of one kind in a domain are replicated. The class `default` (classid 0) exists without a row.
create table if not exists class (
    dmid SMALLINT UNSIGNED not null,  -- the domain
    classid TINYINT UNSIGNED not null,  -- number of the class in its domain; assigned as max + 1
    classname VARCHAR(50),  -- its name
    mindevcount TINYINT UNSIGNED not null,  -- copies wanted
    hashtype TINYINT UNSIGNED,  -- digest kept in `checksum`: 1 MD5, 2 SHA-1; null for none
    replpolicy VARCHAR(255),  -- replication policy, such as MultipleHosts(); null for the default one
    unique (dmid, classid),
    unique (dmid, classname)
);

-- A stored file. One row for each fid that is not still being uploaded.
create table if not exists file (
    fid INT UNSIGNED not null,  -- number of the stored file; never used twice
    dmid SMALLINT UNSIGNED not null,  -- its domain
    dkey VARCHAR(1024),  -- its key. Bytes, not letters, are compared and sorted (S3 wants that; MogileFS left it to the database);
                             -- up to 1,024 bytes (MogileFS: 255 characters)
    length INT UNSIGNED,  -- size in bytes
    classid TINYINT UNSIGNED not null,  -- its class
    devcount TINYINT UNSIGNED not null,  -- number of rows in file_on, for statistics only
    primary key (fid),
    unique (dmid, dkey)
);

-- An upload by a MogileFS client that is not closed yet. Its generator numbers all fids of the cluster.
create table if not exists tempfile (
    fid INTEGER primary key autoincrement,  -- number of the file to be
    createtime INT UNSIGNED not null,  -- when it was opened: seconds since 1970
    classid TINYINT UNSIGNED not null,  -- class of the file to be
    dmid SMALLINT UNSIGNED not null,  -- domain of the file to be
    dkey VARCHAR(1024),  -- key of the file to be
    devids VARCHAR(60)  -- devices offered to the client, separated by commas
);

-- Where copies of a file are believed to be. A row is written after the device has the bytes.
create table if not exists file_on (
    fid INT UNSIGNED not null,  -- the file
    devid MEDIUMINT UNSIGNED not null,  -- a device that has a copy
    primary key (fid, devid)
);
create index if not exists devid on file_on (devid);

-- Copies known to be bad. MogileFS made the table and never used it.
create table if not exists file_on_corrupt (
    fid INT UNSIGNED not null,  -- the file
    devid MEDIUMINT UNSIGNED not null,  -- the device
    primary key (fid, devid)
);

-- A machine with devices.
create table if not exists host (
    hostid MEDIUMINT UNSIGNED not null,  -- number of the host; assigned as max + 1
    status TEXT,  -- what the operator says of it
    http_port MEDIUMINT UNSIGNED default 7500,  -- port of the storage node
    http_get_port MEDIUMINT UNSIGNED,  -- port for reads, if another
    hostname VARCHAR(40),  -- its name
    hostip VARCHAR(15),  -- its address
    altip VARCHAR(15),  -- its address for clients of the network altmask
    altmask VARCHAR(18),  -- network that uses altip
    primary key (hostid),
    unique (hostname),
    unique (hostip),
    unique (altip)
);

-- A file system of a host that keeps copies.
create table if not exists device (
    devid MEDIUMINT UNSIGNED not null,  -- number of the device, as in its directory devN
    hostid MEDIUMINT UNSIGNED not null,  -- its host
    status TEXT,  -- what the operator says of it
    weight MEDIUMINT default 100,  -- share of new files, relative to others
    mb_total INT UNSIGNED,  -- size in MiB, as last measured
    mb_used INT UNSIGNED,  -- used MiB, as last measured
    mb_asof INT UNSIGNED,  -- when that was: seconds since 1970, clock of the tracker
    primary key (devid)
);
create index if not exists status on device (status);

-- Settings that all trackers share, and their versions of this schema.
create table if not exists server_settings (
    field VARCHAR(50) primary key,  -- name of the setting
    value TEXT  -- its value
);

-- Files that may need more copies.
create table if not exists file_to_replicate (
    fid INT UNSIGNED not null,  -- the file
    nexttry INT UNSIGNED not null,  -- not before: seconds since 1970; 0 at once; 2147483647 end of time
    fromdevid INT UNSIGNED,  -- device that the copy should be read from, if one is wanted
    failcount TINYINT UNSIGNED not null default 0,  -- failed attempts
    flags SMALLINT UNSIGNED not null default 0,  -- unused
    primary key (fid)
);
create index if not exists nexttry on file_to_replicate (nexttry);

-- Files to be deleted: the oldest queue, still drained.
create table if not exists file_to_delete (
    fid INT UNSIGNED not null,  -- the file
    primary key (fid)
);

-- Files to be deleted at a time: an old queue, still drained.
create table if not exists file_to_delete_later (
    fid INT UNSIGNED not null,  -- the file
    delafter INT UNSIGNED not null,  -- not before: seconds since 1970
    primary key (fid)
);
create index if not exists delafter on file_to_delete_later (delafter);

-- Fids whose copies are to be deleted.
create table if not exists file_to_delete2 (
    fid INT UNSIGNED not null,  -- the fid
    nexttry INT UNSIGNED not null,  -- not before: seconds since 1970
    failcount TINYINT UNSIGNED not null default 0,  -- failed attempts
    primary key (fid)
);
create index if not exists file_to_delete2_nexttry on file_to_delete2 (nexttry);

-- Files without a readable copy. Unused since MogileFS 2.72.
create table if not exists unreachable_fids (
    fid INT UNSIGNED not null,  -- the file
    lastupdate INT UNSIGNED not null,  -- when that was seen: seconds since 1970
    primary key (fid)
);
create index if not exists lastupdate on unreachable_fids (lastupdate);

-- Files that fsck (type 1) or rebalance (type 2) has still to look at.
create table if not exists file_to_queue (
    fid INT UNSIGNED not null,  -- the file
    devid INT UNSIGNED,  -- device that rebalance takes it from
    type TINYINT UNSIGNED not null,  -- 1 fsck, 2 rebalance
    nexttry INT UNSIGNED not null,  -- not before: seconds since 1970
    failcount TINYINT UNSIGNED not null default 0,  -- failed attempts
    flags SMALLINT UNSIGNED not null default 0,  -- unused
    arg TEXT,  -- what the worker is told
    primary key (fid, type)
);
create index if not exists type_nexttry on file_to_queue (type, nexttry);

-- What fsck found.
create table if not exists fsck_log (
    logid INTEGER primary key autoincrement,  -- number of the finding
    utime INT UNSIGNED not null,  -- when: seconds since 1970
    fid INT UNSIGNED,  -- the file
    evcode CHAR(4),  -- what: GONE, MISS, POVI, SRCH, …
    devid MEDIUMINT UNSIGNED  -- the device
);
create index if not exists utime on fsck_log (utime);

-- Digests of files whose class asks for them.
create table if not exists checksum (
    fid INT UNSIGNED not null,  -- the file
    hashtype TINYINT UNSIGNED not null,  -- 1 MD5, 2 SHA-1
    checksum VARBINARY(64) not null,  -- the digest, raw
    primary key (fid)
);

-- Who works on what. SQLite trackers use it; PostgreSQL trackers made it and use advisory locks; MySQL has none.
create table if not exists lock (
    lockid INT UNSIGNED not null,  -- hash of the name of the lock
    hostname VARCHAR(255) not null,  -- who holds it
    pid INT UNSIGNED not null,  -- its process
    acquiredat INT UNSIGNED not null,  -- since when: seconds since 1970
    primary key (lockid)
);
