-- How far the copies of each device have been read and compared with their digests (PostgreSQL).

-- A pass goes through a device in the order of the fids. A row is made when a device is first seen.
create table if not exists mogul_scrub (
    devid integer not null,  -- the device
    nexttry bigint not null,  -- the next files not before: seconds since 1970; pushed ahead by who reads them
    hasty integer not null,  -- 1: an operator wants the pass at once, not spread over the period
    position bigint not null,  -- last fid that the pass under way has read; 0 at its beginning
    begun_at bigint,  -- when the pass under way began: milliseconds since 1970; null if none is
    files bigint not null,  -- files read in the pass under way
    bytes bigint not null,  -- their bytes
    rotten bigint not null,  -- those that were not what their digest says, or could not be read
    missing bigint not null,  -- files on record that were not there, or had another size
    strays bigint not null,  -- files that were there and not on record
    ended_at bigint,  -- when the last whole pass ended: milliseconds since 1970; null if none has
    last_files bigint,  -- files read in it
    last_bytes bigint,  -- their bytes
    last_rotten bigint,  -- rotten ones in it
    last_missing bigint,  -- missing ones in it
    last_strays bigint,  -- strays in it
    primary key (devid)
);
