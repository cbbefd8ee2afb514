-- What mogul adds (SQLite): tables, never columns. Rows that belong to a file are keyed by its fid.
-- Ids are variable-length: PostgreSQL does not use the index of a char(n) column for a text parameter.

-- What S3 knows of a domain. A domain that mogadm made has no row.
create table if not exists mogul_bucket (
    dmid INTEGER not null,  -- the domain
    owner VARCHAR(64) not null,  -- user_id of the user who made it
    created_at INTEGER not null,  -- when: milliseconds since 1970
    versioning INTEGER not null,  -- 0 never enabled, 1 enabled, 2 suspended
    object_lock INTEGER not null,  -- 1 if it was made with object lock
    primary key (dmid)
);
create index if not exists mogul_bucket_owner on mogul_bucket (owner);

-- Documents that S3 clients attach to a bucket.
create table if not exists mogul_bucket_config (
    dmid INTEGER not null,  -- the domain
    kind VARCHAR(32) not null,  -- tagging, cors, policy, lifecycle, …
    body TEXT not null,  -- the document
    primary key (dmid, kind)
);

-- What mogul adds to a class; no row: 0 in both.
create table if not exists mogul_class (
    dmid INTEGER not null,  -- the domain
    classid INTEGER not null,  -- the class
    ack INTEGER not null,  -- copies that an answer waits for: 0 all of mindevcount, n at most n
    degraded INTEGER not null,  -- when fewer can be written: 0 accept and queue the rest, 1 refuse
    primary key (dmid, classid)
);

-- What S3 adds to a file. A file of a MogileFS client has no row.
create table if not exists mogul_object (
    fid INTEGER not null,  -- the file
    etag VARCHAR(64) not null,  -- entity tag without quotes: hex MD5, or …-N for N parts
    modified_at INTEGER not null,  -- when it was stored: milliseconds since 1970
    owner VARCHAR(64),  -- user_id of the user who stored it
    attributes TEXT,  -- JSON {"h":{header:value},"u":{name:value}}; null if both are empty
    tags TEXT,  -- JSON [[key,value],…]; null if there are none
    checksum_type INTEGER,  -- algorithm of the checksum shown to S3 clients
    checksum_kind INTEGER,  -- 0 of all bytes, 1 of the parts digests
    checksum BLOB,  -- its value, raw
    crc64 BLOB,  -- CRC64/NVME of all bytes, big-endian: whole reads are checked with it
    parts INTEGER,  -- parts of the upload; null for a plain PUT
    primary key (fid)
);

-- Versions of objects in versioned buckets.
create table if not exists mogul_version (
    dmid INTEGER not null,  -- the domain
    dkey VARCHAR(1024) not null,  -- the key
    version_order INTEGER not null,  -- position: the newest version has the smallest
    version_id VARCHAR(64) not null,  -- its id; null for the version of an unversioned bucket is the text null
    fid INTEGER,  -- its bytes; null for a delete marker
    modified_at INTEGER not null,  -- when it was stored: milliseconds since 1970
    primary key (dmid, dkey, version_order),
    unique (dmid, dkey, version_id)
);

-- Multipart uploads, open ones and, for a day, completed ones.
create table if not exists mogul_upload (
    upload_id VARCHAR(64) not null,  -- its id, unguessable
    dmid INTEGER not null,  -- domain of the object to be
    dkey VARCHAR(1024) not null,  -- key of the object to be
    classid INTEGER not null,  -- class of the object to be
    owner VARCHAR(64) not null,  -- user_id of the user who began it
    initiated_at INTEGER not null,  -- when: milliseconds since 1970
    attributes TEXT,  -- attributes of the object to be, as in mogul_object
    tags TEXT,  -- tags of the object to be, as in mogul_object
    checksum_type INTEGER,  -- algorithm of the checksum declared
    checksum_kind INTEGER,  -- 0 of all bytes, 1 of the parts digests
    devids VARCHAR(255) not null,  -- devices that all parts go to, separated by commas, so that they can be joined where they lie
    state INTEGER not null,  -- 0 open, 1 completed
    completed_at INTEGER,  -- when it was completed: milliseconds since 1970
    result TEXT,  -- JSON: the answer that a repeated Complete gets again
    fid INTEGER,  -- the object it became
    primary key (upload_id)
);
create index if not exists mogul_upload_key on mogul_upload (dmid, dkey, initiated_at);
create index if not exists mogul_upload_completed on mogul_upload (completed_at);

-- Parts of open uploads. Each is a file under a reserved key of its class.
create table if not exists mogul_part (
    upload_id VARCHAR(64) not null,  -- the upload
    part_number INTEGER not null,  -- 1 to 10,000
    fid INTEGER not null,  -- its bytes
    size INTEGER not null,  -- bytes
    etag VARCHAR(64) not null,  -- hex MD5
    checksum_type INTEGER,  -- algorithm of its checksum
    checksum BLOB,  -- its checksum, raw
    crc64 BLOB,  -- CRC64/NVME of its bytes, big-endian
    modified_at INTEGER not null,  -- when it was stored: milliseconds since 1970
    primary key (upload_id, part_number)
);

-- The parts an object was uploaded in: where its bytes are until they are joined, and its part numbers after.
create table if not exists mogul_segment (
    fid INTEGER not null,  -- the object
    ordinal INTEGER not null,  -- position in the object, from 1
    part_number INTEGER not null,  -- number it was uploaded under
    part_fid INTEGER,  -- file that holds its bytes; null once they are joined into the objects own
    start INTEGER not null,  -- first byte in the object
    size INTEGER not null,  -- bytes
    etag VARCHAR(64) not null,  -- hex MD5
    checksum_type INTEGER,  -- algorithm of its checksum
    checksum BLOB,  -- its checksum, raw
    crc64 BLOB,  -- CRC64/NVME of its bytes, big-endian
    modified_at INTEGER not null,  -- when the part was stored: milliseconds since 1970
    primary key (fid, ordinal)
);
create index if not exists mogul_segment_part_fid on mogul_segment (part_fid);

-- Objects whose segments are to be joined into one file.
create table if not exists mogul_join (
    fid INTEGER not null,  -- the object
    nexttry INTEGER not null,  -- not before: seconds since 1970, as in MogileFSs queues
    failcount INTEGER not null,  -- failed attempts
    primary key (fid)
);
create index if not exists mogul_join_nexttry on mogul_join (nexttry);

-- Users. Root has no row.
create table if not exists mogul_user (
    user_id VARCHAR(64) not null,  -- canonical id, hex
    name TEXT not null,  -- unique name
    display_name TEXT not null,  -- what owners are shown as
    email TEXT,  -- address of the user
    created_at INTEGER not null,  -- when: milliseconds since 1970
    primary key (user_id),
    unique (name)
);

-- Access keys of users.
create table if not exists mogul_key (
    access_key VARCHAR(128) not null,  -- public half
    user_id VARCHAR(64) not null,  -- whose
    secret_key TEXT not null,  -- secret half, in clear: signatures are computed with it
    created_at INTEGER not null,  -- when: milliseconds since 1970
    primary key (access_key)
);
create index if not exists mogul_key_user on mogul_key (user_id);

-- Fids handed to one process in one go. A block whose process died is swept: what lies on devices without a row in file goes.
create table if not exists mogul_fid_block (
    first_fid INTEGER not null,  -- first fid of the block
    last_fid INTEGER not null,  -- last fid of the block
    owner VARCHAR(32) not null,  -- the process, a random id
    renewed_at INTEGER not null,  -- last sign of life: milliseconds since 1970
    primary key (first_fid)
);
