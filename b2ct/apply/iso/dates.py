"""Time stamps in the forms that images keep them in."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta, timezone

_FALLBACK = datetime(1980, 1, 1, tzinfo=UTC)


def parse_volume_date(field: bytes) -> datetime:
    """Return a descriptor's date (ECMA-119 8.4.26.1); 1980 when it is not specified."""
    try:
        zone = timezone(timedelta(minutes=15 * struct.unpack("b", field[16:17])[0]))
        return datetime.strptime(field[:14].decode("ascii"), "%Y%m%d%H%M%S").replace(tzinfo=zone)
    except ValueError:
        return _FALLBACK


def record_date(moment: datetime) -> bytes:
    """Return the seven bytes of a directory record (ECMA-119 9.1.5), which holds the years 1900 to 2155."""
    offset = moment.utcoffset() or timedelta()
    quarters = int(offset.total_seconds()) // 900
    year = min(max(moment.year, 1900), 2155) - 1900
    fields = (year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return bytes(fields) + struct.pack("b", quarters)


def fat_stamp(moment: datetime) -> tuple[int, int]:
    """Return (date, time) of a FAT directory entry (Microsoft FAT specification, section 6)."""
    year = min(max(moment.year, 1980), 2107) - 1980
    date = year << 9 | moment.month << 5 | moment.day
    return date, moment.hour << 11 | moment.minute << 5 | moment.second // 2
