-- Which disk is which device (PostgreSQL).

-- The name of this cluster: one row. A disk of another cluster is told by it.
create table if not exists mogul_cluster (
    cluster_id varchar(32) collate "C" not null,  -- 32 hex digits, drawn when the first device was marked
    primary key (cluster_id)
);

-- The marks of the devices, as they lie in the file mogul-device of each. A device without a row has not been marked yet.
create table if not exists mogul_mark (
    devid integer not null,  -- the device
    mark varchar(96) collate "C" not null,  -- cluster, device and disk, with dots between
    marked_at bigint not null,  -- when: milliseconds since 1970
    primary key (devid)
);

-- The directories in which mogul server found its devices last: one that is empty is not mounted, and no new device.
create table if not exists mogul_place (
    devid integer not null,  -- the device
    place varchar(4096) collate "C" not null,  -- the absolute path of the directory that holds devN
    primary key (devid)
);
