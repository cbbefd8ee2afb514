"""The ten checksum algorithms of S3, made without the SDKs."""

import base64
import hashlib
import zlib

import xxhash


def crc_table(polynomial):
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (polynomial if byte & 1 else 0)
        table.append(byte)
    return table


CRC32C = crc_table(0x82F63B78)
CRC64NVME = crc_table(0x9A6C9329AC4BC9B5)


def crc(table, bits, body):
    mask = (1 << bits) - 1
    value = mask
    for byte in body:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return (value ^ mask).to_bytes(bits // 8, "big")


#: name -> digest of bytes
ALGORITHMS = {
    "CRC32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "CRC32C": lambda body: crc(CRC32C, 32, body),
    "CRC64NVME": lambda body: crc(CRC64NVME, 64, body),
    "SHA1": lambda body: hashlib.sha1(body).digest(),
    "SHA256": lambda body: hashlib.sha256(body).digest(),
    "SHA512": lambda body: hashlib.sha512(body).digest(),
    "MD5": lambda body: hashlib.md5(body).digest(),
    "XXHASH64": lambda body: xxhash.xxh64_digest(body),
    "XXHASH3": lambda body: xxhash.xxh3_64_digest(body),
    "XXHASH128": lambda body: xxhash.xxh3_128_digest(body),
}
FULL_OBJECT = {"CRC32", "CRC32C", "CRC64NVME"}
COMPOSITE = set(ALGORITHMS) - {"CRC64NVME"}


def header(algorithm):
    return f"x-amz-checksum-{algorithm.lower()}"


def value(algorithm, body):
    return base64.b64encode(ALGORITHMS[algorithm](body)).decode()


def composite(algorithm, parts):
    digests = b"".join(ALGORITHMS[algorithm](part) for part in parts)
    return f"{value(algorithm, digests)}-{len(parts)}"
