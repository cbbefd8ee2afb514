-- How far the copies of each device have been read and compared with their digests (SQLite).

-- A pass goes through a device in the order of the fids. A row is made when a device is first seen.
create table if not exists mogul_scrub (
    devid INTEGER not null,  -- the device
    nexttry INTEGER not null,  -- the next files not before: seconds since 1970; pushed ahead by who reads them
    hasty INTEGER not null,  -- 1: an operator wants the pass at once, not spread over the period
    position INTEGER not null,  -- last fid that the pass under way has read; 0 at its beginning
    begun_at INTEGER,  -- when the pass under way began: milliseconds since 1970; null if none is
    files INTEGER not null,  -- files read in the pass under way
    bytes INTEGER not null,  -- their bytes
    rotten INTEGER not null,  -- those that were not what their digest says, or could not be read
    missing INTEGER not null,  -- files on record that were not there, or had another size
    strays INTEGER not null,  -- files that were there and not on record
    ended_at INTEGER,  -- when the last whole pass ended: milliseconds since 1970; null if none has
    last_files INTEGER,  -- files read in it
    last_bytes INTEGER,  -- their bytes
    last_rotten INTEGER,  -- rotten ones in it
    last_missing INTEGER,  -- missing ones in it
    last_strays INTEGER,  -- strays in it
    primary key (devid)
);
