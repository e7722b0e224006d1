#!/usr/bin/env python3
"""Writes the demo tickets: ticket-data.json (an Elasticsearch bulk body) and demo-keys.csv (the keys that fit it).

The keys are public. They follow from the labels below, so that running this again changes nothing, and so that anybody
can compute them: never use them for anything real. Real keys come from `tickey mint`, which asks the system for its
randomness.
"""

import base64
import csv
import hashlib
import json
import uuid
from dataclasses import dataclass
from pathlib import Path

SEED = Path(__file__).resolve().parent.parent

# --- The key: 23 symbols of Crockford base32 and two check symbols of a Reed-Solomon code over GF(32) ---------------

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PAYLOAD_SYMBOLS = 23
GROUP = 5
ORDER = 31  # of alpha, the class of x, in the multiplicative group
FIELD_POLYNOMIAL = 0b100101  # x^5 + x^2 + 1


def exponentials() -> list[int]:
    """The powers of alpha, from 0 to ORDER - 1."""
    powers = [1]
    while len(powers) < ORDER:
        shifted = powers[-1] << 1
        powers.append(shifted ^ FIELD_POLYNOMIAL if shifted & 0b100000 else shifted)
    return powers


EXP = exponentials()
LOG = {value: power for power, value in enumerate(EXP)}


def multiply(a: int, b: int) -> int:
    return EXP[(LOG[a] + LOG[b]) % ORDER] if a and b else 0


def check_symbols(payload: list[int]) -> list[int]:
    """The remainder of payload * x^2 divided by the generator (x - alpha)(x - alpha^2)."""
    linear, constant = EXP[1] ^ EXP[2], EXP[3]  # the generator is x^2 + linear * x + constant
    high = low = 0
    for symbol in payload:
        carry = symbol ^ high
        high, low = low ^ multiply(carry, linear), multiply(carry, constant)
    return [high, low]


def complete(payload: str) -> str:
    """The 25 symbols of the key that begins with these 23."""
    values = [ALPHABET.index(symbol) for symbol in payload]
    return payload + "".join(ALPHABET[value] for value in check_symbols(values))


def dashed(key: str) -> str:
    return "-".join(key[i : i + GROUP] for i in range(0, len(key), GROUP))


def ticket_id(key: str) -> str:
    digest = hashlib.sha256(key.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def check_against_published_vectors() -> None:
    vectors = {
        "M9S34-6Q3D2-5VT4F-5V37E-3S3NJ": "FW8esbCt8xG32a8tomvn89yOy4rIihM6OSS4kRFRWOA",
        "E28JT-97KB6-CQ643-DZVMX-XQK4G": "1mPqkoY-13OkhbXpmPVss6gtJcemIKaMGikFaimgDcs",
    }
    for shown, expected_id in vectors.items():
        key = shown.replace("-", "")
        assert dashed(complete(key[:PAYLOAD_SYMBOLS])) == shown, f"the check symbols of {shown} come out wrong"
        assert ticket_id(key) == expected_id, f"the id of {shown} comes out wrong"


# --- The demo tickets -----------------------------------------------------------------------------------------------

ALBUMS = ("slow-tide", "rooftop-arcade")
FRESH_PER_ALBUM = 4
BATCH = "demo"
ISSUED_AT = "2026-11-20T10:00:00Z"


@dataclass(frozen=True)
class Ticket:
    """One ticket of the demo. The label names it, and its key follows from the label."""

    label: str
    album: str
    issued_at: str = ISSUED_AT
    valid_from: str | None = None
    expires_at: str | None = None
    status: str = "issued"
    redeemed_at: str | None = None

    def secret(self, purpose: str) -> bytes:
        return hashlib.sha256(f"tickey-lickey public demo {purpose}: {self.label}".encode()).digest()

    def key(self) -> str:
        bits = int.from_bytes(self.secret("key"), "big")
        return complete("".join(ALPHABET[bits >> (5 * i) & 31] for i in range(PAYLOAD_SYMBOLS)))

    def document(self) -> dict:
        document = {"album": self.album, "batch": BATCH, "status": self.status, "issued_at": self.issued_at}
        if self.valid_from:
            document["valid_from"] = self.valid_from
        if self.expires_at:
            document["expires_at"] = self.expires_at
        if self.redeemed_at:
            redemption_id = uuid.UUID(bytes=self.secret("redemption")[:16], version=4)
            document["redemption"] = {"id": str(redemption_id), "at": self.redeemed_at, "renewals": 0}
        return document


def demo_tickets() -> list[Ticket]:
    """The order here is the order of both files: the keys that can be redeemed come first."""
    slow_tide, rooftop_arcade = ALBUMS
    fresh = [
        Ticket(label=f"fresh {number} of {album}", album=album)
        for album in ALBUMS
        for number in range(1, FRESH_PER_ALBUM + 1)
    ]
    return [
        *fresh,
        Ticket("redeemed", slow_tide, status="redeemed", redeemed_at="2026-11-20T10:05:00Z"),
        Ticket("revoked", rooftop_arcade, status="revoked"),
        Ticket("expired", slow_tide, issued_at="2019-11-20T10:00:00Z", expires_at="2020-01-01T00:00:00Z"),
        Ticket("not yet valid", rooftop_arcade, valid_from="2099-01-01T00:00:00Z"),
    ]


# --- The files ------------------------------------------------------------------------------------------------------


def write_bulk(path: Path, tickets: list[Ticket]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for ticket in tickets:
            for line in ({"create": {"_id": ticket_id(ticket.key())}}, ticket.document()):
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def write_keys(path: Path, tickets: list[Ticket]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["key", "album", "batch", "valid_from", "expires_at"])
        for ticket in tickets:
            rows.writerow([dashed(ticket.key()), ticket.album, BATCH, ticket.valid_from, ticket.expires_at])


def main() -> None:
    check_against_published_vectors()
    tickets = demo_tickets()
    write_bulk(SEED / "ticket-data.json", tickets)
    write_keys(SEED / "demo-keys.csv", tickets)
    for ticket in tickets:
        print(f"{dashed(ticket.key())}  {ticket.album:<14}  {ticket.label}")


if __name__ == "__main__":
    main()
