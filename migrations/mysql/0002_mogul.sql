-- What mogul adds (MySQL and MariaDB): tables, never columns. Rows that belong to a file are keyed by its fid.
-- Ids are variable-length: PostgreSQL does not use the index of a char(n) column for a text parameter.

-- What S3 knows of a domain. A domain that mogadm made has no row.
create table if not exists mogul_bucket (
    dmid SMALLINT UNSIGNED not null,  -- the domain
    owner VARCHAR(64) character set ascii collate ascii_bin not null,  -- user_id of the user who made it
    created_at BIGINT not null,  -- when: milliseconds since 1970
    versioning SMALLINT not null,  -- 0 never enabled, 1 enabled, 2 suspended
    object_lock SMALLINT not null,  -- 1 if it was made with object lock
    primary key (dmid),
    key mogul_bucket_owner (owner)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;

-- Documents that S3 clients attach to a bucket.
create table if not exists mogul_bucket_config (
    dmid SMALLINT UNSIGNED not null,  -- the domain
    kind VARCHAR(32) character set ascii collate ascii_bin not null,  -- tagging, cors, policy, lifecycle, …
    body MEDIUMTEXT not null,  -- the document
    primary key (dmid, kind)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;

-- What mogul adds to a class; no row: 0 in both.
create table if not exists mogul_class (
    dmid SMALLINT UNSIGNED not null,  -- the domain
    classid TINYINT UNSIGNED not null,  -- the class
    ack SMALLINT not null,  -- copies that an answer waits for: 0 all of mindevcount, n at most n
    degraded SMALLINT not null,  -- when fewer can be written: 0 accept and queue the rest, 1 refuse
    primary key (dmid, classid)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;

-- What S3 adds to a file. A file of a MogileFS client has no row.
create table if not exists mogul_object (
    fid BIGINT UNSIGNED not null,  -- the file
    etag VARCHAR(64) character set ascii collate ascii_bin not null,  -- entity tag without quotes: hex MD5, or …-N for N parts
    modified_at BIGINT not null,  -- when it was stored: milliseconds since 1970
    owner VARCHAR(64) character set ascii collate ascii_bin,  -- user_id of the user who stored it
    attributes TEXT,  -- JSON {"h":{header:value},"u":{name:value}}; null if both are empty
    tags TEXT,  -- JSON [[key,value],…]; null if there are none
    checksum_type SMALLINT,  -- algorithm of the checksum shown to S3 clients
    checksum_kind SMALLINT,  -- 0 of all bytes, 1 of the parts digests
    checksum VARBINARY(64),  -- its value, raw
    crc64 VARBINARY(8),  -- CRC64/NVME of all bytes, big-endian: whole reads are checked with it
    parts INT,  -- parts of the upload; null for a plain PUT
    primary key (fid)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;

-- Versions of objects in versioned buckets.
create table if not exists mogul_version (
    dmid SMALLINT UNSIGNED not null,  -- the domain
    dkey VARBINARY(1024) not null,  -- the key
    version_order BIGINT not null,  -- position: the newest version has the smallest
    version_id VARCHAR(64) character set ascii collate ascii_bin not null,  -- its id; null for the version of an unversioned bucket is the text null
    fid BIGINT UNSIGNED,  -- its bytes; null for a delete marker
    modified_at BIGINT not null,  -- when it was stored: milliseconds since 1970
    primary key (dmid, dkey, version_order),
    unique key mogul_version_id (dmid, dkey, version_id)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;

-- Multipart uploads, open ones and, for a day, completed ones.
create table if not exists mogul_upload (
    upload_id VARCHAR(64) character set ascii collate ascii_bin not null,  -- its id, unguessable
    dmid SMALLINT UNSIGNED not null,  -- domain of the object to be
    dkey VARBINARY(1024) not null,  -- key of the object to be
    classid TINYINT UNSIGNED not null,  -- class of the object to be
    owner VARCHAR(64) character set ascii collate ascii_bin not null,  -- user_id of the user who began it
    initiated_at BIGINT not null,  -- when: milliseconds since 1970
    attributes TEXT,  -- attributes of the object to be, as in mogul_object
    tags TEXT,  -- tags of the object to be, as in mogul_object
    checksum_type SMALLINT,  -- algorithm of the checksum declared
    checksum_kind SMALLINT,  -- 0 of all bytes, 1 of the parts digests
    devids VARCHAR(255) character set ascii collate ascii_bin not null,  -- devices that all parts go to, separated by commas, so that they can be joined where they lie
    state SMALLINT not null,  -- 0 open, 1 completed
    completed_at BIGINT,  -- when it was completed: milliseconds since 1970
    result MEDIUMTEXT,  -- JSON: the answer that a repeated Complete gets again
    fid BIGINT UNSIGNED,  -- the object it became
    primary key (upload_id),
    key mogul_upload_key (dmid, dkey, initiated_at),
    key mogul_upload_completed (completed_at)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;

-- Parts of open uploads. Each is a file under a reserved key of its class.
create table if not exists mogul_part (
    upload_id VARCHAR(64) character set ascii collate ascii_bin not null,  -- the upload
    part_number INT not null,  -- 1 to 10,000
    fid BIGINT UNSIGNED not null,  -- its bytes
    size BIGINT not null,  -- bytes
    etag VARCHAR(64) character set ascii collate ascii_bin not null,  -- hex MD5
    checksum_type SMALLINT,  -- algorithm of its checksum
    checksum VARBINARY(64),  -- its checksum, raw
    crc64 VARBINARY(8),  -- CRC64/NVME of its bytes, big-endian
    modified_at BIGINT not null,  -- when it was stored: milliseconds since 1970
    primary key (upload_id, part_number)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;

-- The parts an object was uploaded in: where its bytes are until they are joined, and its part numbers after.
create table if not exists mogul_segment (
    fid BIGINT UNSIGNED not null,  -- the object
    ordinal INT not null,  -- position in the object, from 1
    part_number INT not null,  -- number it was uploaded under
    part_fid BIGINT UNSIGNED,  -- file that holds its bytes; null once they are joined into the objects own
    start BIGINT not null,  -- first byte in the object
    size BIGINT not null,  -- bytes
    etag VARCHAR(64) character set ascii collate ascii_bin not null,  -- hex MD5
    checksum_type SMALLINT,  -- algorithm of its checksum
    checksum VARBINARY(64),  -- its checksum, raw
    crc64 VARBINARY(8),  -- CRC64/NVME of its bytes, big-endian
    modified_at BIGINT not null,  -- when the part was stored: milliseconds since 1970
    primary key (fid, ordinal),
    key mogul_segment_part_fid (part_fid)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;

-- Objects whose segments are to be joined into one file.
create table if not exists mogul_join (
    fid BIGINT UNSIGNED not null,  -- the object
    nexttry BIGINT not null,  -- not before: seconds since 1970, as in MogileFSs queues
    failcount INT not null,  -- failed attempts
    primary key (fid),
    key mogul_join_nexttry (nexttry)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;

-- Users. Root has no row.
create table if not exists mogul_user (
    user_id VARCHAR(64) character set ascii collate ascii_bin not null,  -- canonical id, hex
    name VARCHAR(64) not null,  -- unique name
    display_name VARCHAR(255) not null,  -- what owners are shown as
    email VARCHAR(255),  -- address of the user
    created_at BIGINT not null,  -- when: milliseconds since 1970
    primary key (user_id),
    unique key mogul_user_name (name)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;

-- Access keys of users.
create table if not exists mogul_key (
    access_key VARCHAR(128) character set ascii collate ascii_bin not null,  -- public half
    user_id VARCHAR(64) character set ascii collate ascii_bin not null,  -- whose
    secret_key VARCHAR(128) not null,  -- secret half, in clear: signatures are computed with it
    created_at BIGINT not null,  -- when: milliseconds since 1970
    primary key (access_key),
    key mogul_key_user (user_id)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;

-- Fids handed to one process in one go. A block whose process died is swept: what lies on devices without a row in file goes.
create table if not exists mogul_fid_block (
    first_fid BIGINT UNSIGNED not null,  -- first fid of the block
    last_fid BIGINT UNSIGNED not null,  -- last fid of the block
    owner VARCHAR(32) character set ascii collate ascii_bin not null,  -- the process, a random id
    renewed_at BIGINT not null,  -- last sign of life: milliseconds since 1970
    primary key (first_fid)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;
