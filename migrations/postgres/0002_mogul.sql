-- What mogul adds (PostgreSQL): tables, never columns. Rows that belong to a file are keyed by its fid.
-- Ids are variable-length: PostgreSQL does not use the index of a char(n) column for a text parameter.

-- What S3 knows of a domain. A domain that mogadm made has no row.
create table if not exists mogul_bucket (
    dmid smallint not null,  -- the domain
    owner varchar(64) collate "C" not null,  -- user_id of the user who made it
    created_at bigint not null,  -- when: milliseconds since 1970
    versioning smallint not null,  -- 0 never enabled, 1 enabled, 2 suspended
    object_lock smallint not null,  -- 1 if it was made with object lock
    primary key (dmid)
);
create index if not exists mogul_bucket_owner on mogul_bucket (owner);

-- Documents that S3 clients attach to a bucket.
create table if not exists mogul_bucket_config (
    dmid smallint not null,  -- the domain
    kind varchar(32) collate "C" not null,  -- tagging, cors, policy, lifecycle, …
    body text not null,  -- the document
    primary key (dmid, kind)
);

-- What mogul adds to a class; no row: 0 in both.
create table if not exists mogul_class (
    dmid smallint not null,  -- the domain
    classid smallint not null,  -- the class
    ack smallint not null,  -- copies that an answer waits for: 0 all of mindevcount, n at most n
    degraded smallint not null,  -- when fewer can be written: 0 accept and queue the rest, 1 refuse
    primary key (dmid, classid)
);

-- What S3 adds to a file. A file of a MogileFS client has no row.
create table if not exists mogul_object (
    fid bigint not null,  -- the file
    etag varchar(64) collate "C" not null,  -- entity tag without quotes: hex MD5, or …-N for N parts
    modified_at bigint not null,  -- when it was stored: milliseconds since 1970
    owner varchar(64) collate "C",  -- user_id of the user who stored it
    attributes text,  -- JSON {"h":{header:value},"u":{name:value}}; null if both are empty
    tags text,  -- JSON [[key,value],…]; null if there are none
    checksum_type smallint,  -- algorithm of the checksum shown to S3 clients
    checksum_kind smallint,  -- 0 of all bytes, 1 of the parts digests
    checksum bytea,  -- its value, raw
    crc64 bytea,  -- CRC64/NVME of all bytes, big-endian: whole reads are checked with it
    parts integer,  -- parts of the upload; null for a plain PUT
    primary key (fid)
);

-- Versions of objects in versioned buckets.
create table if not exists mogul_version (
    dmid smallint not null,  -- the domain
    dkey varchar(1024) collate "C" not null,  -- the key
    version_order bigint not null,  -- position: the newest version has the smallest
    version_id varchar(64) collate "C" not null,  -- its id; null for the version of an unversioned bucket is the text null
    fid bigint,  -- its bytes; null for a delete marker
    modified_at bigint not null,  -- when it was stored: milliseconds since 1970
    primary key (dmid, dkey, version_order),
    unique (dmid, dkey, version_id)
);

-- Multipart uploads, open ones and, for a day, completed ones.
create table if not exists mogul_upload (
    upload_id varchar(64) collate "C" not null,  -- its id, unguessable
    dmid smallint not null,  -- domain of the object to be
    dkey varchar(1024) collate "C" not null,  -- key of the object to be
    classid smallint not null,  -- class of the object to be
    owner varchar(64) collate "C" not null,  -- user_id of the user who began it
    initiated_at bigint not null,  -- when: milliseconds since 1970
    attributes text,  -- attributes of the object to be, as in mogul_object
    tags text,  -- tags of the object to be, as in mogul_object
    checksum_type smallint,  -- algorithm of the checksum declared
    checksum_kind smallint,  -- 0 of all bytes, 1 of the parts digests
    devids varchar(255) collate "C" not null,  -- devices that all parts go to, separated by commas, so that they can be joined where they lie
    state smallint not null,  -- 0 open, 1 completed
    completed_at bigint,  -- when it was completed: milliseconds since 1970
    result text,  -- JSON: the answer that a repeated Complete gets again
    fid bigint,  -- the object it became
    primary key (upload_id)
);
create index if not exists mogul_upload_key on mogul_upload (dmid, dkey, initiated_at);
create index if not exists mogul_upload_completed on mogul_upload (completed_at);

-- Parts of open uploads. Each is a file under a reserved key of its class.
create table if not exists mogul_part (
    upload_id varchar(64) collate "C" not null,  -- the upload
    part_number integer not null,  -- 1 to 10,000
    fid bigint not null,  -- its bytes
    size bigint not null,  -- bytes
    etag varchar(64) collate "C" not null,  -- hex MD5
    checksum_type smallint,  -- algorithm of its checksum
    checksum bytea,  -- its checksum, raw
    crc64 bytea,  -- CRC64/NVME of its bytes, big-endian
    modified_at bigint not null,  -- when it was stored: milliseconds since 1970
    primary key (upload_id, part_number)
);

-- The parts an object was uploaded in: where its bytes are until they are joined, and its part numbers after.
create table if not exists mogul_segment (
    fid bigint not null,  -- the object
    ordinal integer not null,  -- position in the object, from 1
    part_number integer not null,  -- number it was uploaded under
    part_fid bigint,  -- file that holds its bytes; null once they are joined into the objects own
    start bigint not null,  -- first byte in the object
    size bigint not null,  -- bytes
    etag varchar(64) collate "C" not null,  -- hex MD5
    checksum_type smallint,  -- algorithm of its checksum
    checksum bytea,  -- its checksum, raw
    crc64 bytea,  -- CRC64/NVME of its bytes, big-endian
    modified_at bigint not null,  -- when the part was stored: milliseconds since 1970
    primary key (fid, ordinal)
);
create index if not exists mogul_segment_part_fid on mogul_segment (part_fid);

-- Objects whose segments are to be joined into one file.
create table if not exists mogul_join (
    fid bigint not null,  -- the object
    nexttry bigint not null,  -- not before: seconds since 1970, as in MogileFSs queues
    failcount integer not null,  -- failed attempts
    primary key (fid)
);
create index if not exists mogul_join_nexttry on mogul_join (nexttry);

-- Users. Root has no row.
create table if not exists mogul_user (
    user_id varchar(64) collate "C" not null,  -- canonical id, hex
    name varchar(64) not null,  -- unique name
    display_name varchar(255) not null,  -- what owners are shown as
    email varchar(255),  -- address of the user
    created_at bigint not null,  -- when: milliseconds since 1970
    primary key (user_id),
    unique (name)
);

-- Access keys of users.
create table if not exists mogul_key (
    access_key varchar(128) collate "C" not null,  -- public half
    user_id varchar(64) collate "C" not null,  -- whose
    secret_key varchar(128) not null,  -- secret half, in clear: signatures are computed with it
    created_at bigint not null,  -- when: milliseconds since 1970
    primary key (access_key)
);
create index if not exists mogul_key_user on mogul_key (user_id);

-- Fids handed to one process in one go. A block whose process died is swept: what lies on devices without a row in file goes.
create table if not exists mogul_fid_block (
    first_fid bigint not null,  -- first fid of the block
    last_fid bigint not null,  -- last fid of the block
    owner varchar(32) collate "C" not null,  -- the process, a random id
    renewed_at bigint not null,  -- last sign of life: milliseconds since 1970
    primary key (first_fid)
);

-- The column stays 32 bits wide, as original trackers know it; the generator, which numbers fid blocks too, need not.
alter sequence tempfile_fid_seq as bigint;
