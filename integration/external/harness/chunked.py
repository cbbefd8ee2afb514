"""aws-chunked bodies in each framing, written by hand (s3.md §4)."""

import hashlib

from .wire import EMPTY_SHA256, now

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CHUNK = 64 * 1024


def pieces(body, size=CHUNK):
    return [body[at : at + size] for at in range(0, len(body), size)]


def signed_body(signer, stamp, seed, body, trailer=None, size=CHUNK, spoil=None):
    """Frames `body` with chunk signatures; `spoil` is the index of a chunk whose signature is wrong."""
    out, previous = [], seed
    for index, chunk in enumerate([*pieces(body, size), b""]):
        text = "\n".join(
            [
                "AWS4-HMAC-SHA256-PAYLOAD",
                stamp,
                signer.scope(stamp),
                previous,
                EMPTY_SHA256,
                hashlib.sha256(chunk).hexdigest(),
            ]
        )
        previous = signer.signature(stamp, text)
        sent = "0" * 64 if spoil == index else previous
        out.append(b"%x;chunk-signature=%s\r\n" % (len(chunk), sent.encode()) + chunk)
        if chunk:
            out.append(b"\r\n")
    if trailer is None:
        return b"".join(out) + b"\r\n\r\n"
    name, value = trailer
    lines = f"{name}:{value}\n"
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256-TRAILER",
            stamp,
            signer.scope(stamp),
            previous,
            hashlib.sha256(lines.encode()).hexdigest(),
        ]
    )
    signature = "0" * 64 if spoil == "trailer" else signer.signature(stamp, text)
    end = f"\r\n{name}:{value}\r\nx-amz-trailer-signature:{signature}\r\n\r\n"
    return b"".join(out) + end.encode()


def unsigned_body(body, trailer, size=CHUNK):
    chunks = b"".join(b"%x\r\n" % len(chunk) + chunk + b"\r\n" for chunk in pieces(body, size))
    name, value = trailer
    return chunks + f"0\r\n{name}:{value}\r\n\r\n".encode()


def put(
    wire,
    path,
    body,
    kind,
    trailer=None,
    query="",
    headers=(),
    change=None,
    size=CHUNK,
    spoil=None,
    decoded_length=None,
):
    """PUTs `body` in the framing `kind`; `change` may alter the framed bytes."""
    stamp = now()
    length = len(body) if decoded_length is None else decoded_length
    sent = [
        ("x-amz-content-sha256", kind),
        ("x-amz-decoded-content-length", str(length)),
        ("content-encoding", "aws-chunked"),
    ]
    given = {name.lower() for name, _ in headers}
    sent = [pair for pair in sent if pair[0] not in given] + [pair for pair in headers if pair[1] is not None]
    if trailer and "x-amz-trailer" not in given:
        sent.append(("x-amz-trailer", trailer[0]))
    all_headers, seed = wire.signed_headers("PUT", path, query, sent, stamp=stamp, payload_hash=kind)
    if kind == UNSIGNED_TRAILER:
        framed = unsigned_body(body, trailer, size)
    else:
        framed = signed_body(wire.signer, stamp, seed, body, trailer, size, spoil)
    framed = change(framed) if change else framed
    all_headers.append(("content-length", str(len(framed))))
    return wire.send("PUT", f"{path}?{query}" if query else path, all_headers, framed)
