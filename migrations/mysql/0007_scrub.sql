-- How far the copies of each device have been read and compared with their digests (MySQL and MariaDB).

-- A pass goes through a device in the order of the fids. A row is made when a device is first seen.
create table if not exists mogul_scrub (
    devid INT UNSIGNED not null,  -- the device
    nexttry BIGINT not null,  -- the next files not before: seconds since 1970; pushed ahead by who reads them
    hasty INT UNSIGNED not null,  -- 1: an operator wants the pass at once, not spread over the period
    position BIGINT not null,  -- last fid that the pass under way has read; 0 at its beginning
    begun_at BIGINT,  -- when the pass under way began: milliseconds since 1970; null if none is
    files BIGINT not null,  -- files read in the pass under way
    bytes BIGINT not null,  -- their bytes
    rotten BIGINT not null,  -- those that were not what their digest says, or could not be read
    missing BIGINT not null,  -- files on record that were not there, or had another size
    strays BIGINT not null,  -- files that were there and not on record
    ended_at BIGINT,  -- when the last whole pass ended: milliseconds since 1970; null if none has
    last_files BIGINT,  -- files read in it
    last_bytes BIGINT,  -- their bytes
    last_rotten BIGINT,  -- rotten ones in it
    last_missing BIGINT,  -- missing ones in it
    last_strays BIGINT,  -- strays in it
    primary key (devid)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;
