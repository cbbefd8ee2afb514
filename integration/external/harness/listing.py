"""What a listing must be, in a few lines of Python: the model that the server is compared with."""

import urllib.parse


def roll_up(keys, prefix="", delimiter=""):
    """All entries of a listing in order: ("key", k) and ("group", p)."""
    entries, groups = [], set()
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix):
            continue
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        if end < 0:
            entries.append(("key", key))
        elif (group := key[: end + len(delimiter)]) not in groups:
            groups.add(group)
            entries.append(("group", group))
    return entries


def after(entries, start):
    """What is left of a listing after `start`: a group is over only when the text is that group or lies behind it."""

    def is_over(entry):
        kind, text = entry
        if text.encode() <= start.encode():
            return not (kind == "group" and start.startswith(text) and start != text)
        return False

    return [entry for entry in entries if not is_over(entry)]


def of_page(page):
    """The entries of one answer of boto3, in order."""
    keys = [("key", entry["Key"]) for entry in page.get("Contents", [])]
    groups = [("group", entry["Prefix"]) for entry in page.get("CommonPrefixes", [])]
    return sorted(keys + groups, key=lambda entry: entry[1].encode())


def url_encoded(text):
    return urllib.parse.quote(text, safe="/-_.~*")
