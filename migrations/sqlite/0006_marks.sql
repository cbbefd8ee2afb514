-- Which disk is which device (SQLite).

-- The name of this cluster: one row. A disk of another cluster is told by it.
create table if not exists mogul_cluster (
    cluster_id VARCHAR(32) not null,  -- 32 hex digits, drawn when the first device was marked
    primary key (cluster_id)
);

-- The marks of the devices, as they lie in the file mogul-device of each. A device without a row has not been marked yet.
create table if not exists mogul_mark (
    devid INTEGER not null,  -- the device
    mark VARCHAR(96) not null,  -- cluster, device and disk, with dots between
    marked_at INTEGER not null,  -- when: milliseconds since 1970
    primary key (devid)
);

-- The directories in which mogul server found its devices last: one that is empty is not mounted, and no new device.
create table if not exists mogul_place (
    devid INTEGER not null,  -- the device
    place VARCHAR(4096) not null,  -- the absolute path of the directory that holds devN
    primary key (devid)
);
