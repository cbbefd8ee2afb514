-- Devices that have stayed away and whose copies are made elsewhere meanwhile (PostgreSQL).

-- A device has a row from when its files are copied elsewhere without it until it is back and what is then too many is gone.
create table if not exists mogul_absent (
    devid integer not null,  -- the device
    seen_at bigint not null,  -- when it was last seen: seconds since 1970
    phase smallint not null,  -- 0: it is away, its copies do not count; 1: it is back, they count again
    changed_at bigint not null,  -- when the phase began: seconds since 1970
    queued_to bigint not null,  -- files on it up to this fid have been queued for the replicate job in this phase
    primary key (devid)
);
