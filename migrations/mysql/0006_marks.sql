-- Which disk is which device (MySQL and MariaDB).

-- The name of this cluster: one row. A disk of another cluster is told by it.
create table if not exists mogul_cluster (
    cluster_id VARCHAR(32) character set ascii collate ascii_bin not null,  -- 32 hex digits, drawn when the first device was marked
    primary key (cluster_id)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;

-- The marks of the devices, as they lie in the file mogul-device of each. A device without a row has not been marked yet.
create table if not exists mogul_mark (
    devid MEDIUMINT UNSIGNED not null,  -- the device
    mark VARCHAR(96) character set ascii collate ascii_bin not null,  -- cluster, device and disk, with dots between
    marked_at BIGINT not null,  -- when: milliseconds since 1970
    primary key (devid)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;

-- The directories in which mogul server found its devices last: one that is empty is not mounted, and no new device.
create table if not exists mogul_place (
    devid MEDIUMINT UNSIGNED not null,  -- the device
    place VARCHAR(4096) not null,  -- the absolute path of the directory that holds devN
    primary key (devid)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin;
