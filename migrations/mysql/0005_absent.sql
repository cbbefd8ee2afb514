-- Devices that have stayed away and whose copies are made elsewhere meanwhile (MySQL and MariaDB).

-- A device has a row from when its files are copied elsewhere without it until it is back and what is then too many is gone.
create table if not exists mogul_absent (
    devid INT UNSIGNED not null,  -- the device
    seen_at BIGINT not null,  -- when it was last seen: seconds since 1970
    phase SMALLINT not null,  -- 0: it is away, its copies do not count; 1: it is back, they count again
    changed_at BIGINT not null,  -- when the phase began: seconds since 1970
    queued_to BIGINT UNSIGNED not null,  -- files on it up to this fid have been queued for the replicate job in this phase
    primary key (devid)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;
