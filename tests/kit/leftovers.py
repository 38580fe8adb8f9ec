"""What the processes of a running product hold: sockets, files, threads, tasks, children. Judges only what is more."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.kit.service import Service, _parent_of

ROLES = ("api", "worker", "webhooks")

# Kept warm for the next call, and bounded: what is allowed is a ceiling for each process, not the number from before.
POOLS = {"database connections": 14, "threads": 16, "decoding and speaking processes": 4}
_OF_A_HAND = {"files in memory": 2, "other sockets": 2}  # each process that decodes or speaks has these at its worker


@dataclass(frozen=True, slots=True)
class Held:
    """Counts by role and kind; `resident` is memory in KiB by role."""

    counts: dict[tuple[str, str], int]
    resident: dict[str, int]

    def more_than(self, before: "Held") -> dict[tuple[str, str], tuple[int, int]]:
        """What there is more of than there was, before and now; of a pool, what is above its ceiling."""
        found = {}
        for (role, kind), now in self.counts.items():
            allowed = POOLS.get(kind, before.counts.get((role, kind), 0))
            if now > allowed:
                found[role, kind] = (before.counts.get((role, kind), 0), now)
        return found


async def held(service: Service, http: httpx.AsyncClient) -> Held:
    """As it is now; `http` reads the metrics."""
    counts: Counter[tuple[str, str]] = Counter()
    resident: dict[str, int] = {}
    server = _database_port(service)
    low, high = _rtp_range(service)
    for role in ROLES:
        for pid in service.pids(role):
            kinds = _descriptors(pid, server, range(low, high + 1))
            kinds["threads"] = len(list(Path(f"/proc/{pid}/task").iterdir()))
            hands = kinds["decoding and speaking processes"] = len(_children(pid))
            kinds.subtract({kind: count * hands for kind, count in _OF_A_HAND.items()})
            resident[role] = resident.get(role, 0) + _resident(pid)
            counts.update({(role, kind): count for kind, count in kinds.items()})
    spool = service.data_dir / "spool"
    counts["worker", "files in the spool"] = len(list(spool.iterdir())) if spool.exists() else 0
    counts.update(await _of_metrics(service, http))
    return Held(dict(counts), resident)


async def _of_metrics(service: Service, http: httpx.AsyncClient) -> dict[tuple[str, str], int]:
    pids = {str(pid): role for role in ROLES for pid in service.pids(role)}
    found = {}
    for line in (await http.get("/metrics")).text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("dial_loop_tasks{"):
            role = pids.get(name.partition('pid="')[2].partition('"')[0])
            if role is not None and role != "api":  # the API's count has this very request in it
                found[role, "tasks"] = int(float(value))
        elif name == "dial_rtp_ports_used":
            found["worker", "RTP ports taken"] = int(float(value))
        elif name.startswith(("dial_calls_running{", "dial_deliveries_owed", "dial_recordings_waiting")):
            kind = "running or owed"
            found["all", kind] = found.get(("all", kind), 0) + int(float(value))
    return found


def _descriptors(pid: int, database: int, rtp: range) -> Counter[str]:
    """Open files by kind."""
    inets = _inets(pid)
    kinds: Counter[str] = Counter()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:  # the descriptor of this very listing, or one that was closed meanwhile
            continue
        if target.startswith("socket:["):
            kinds[_kind(inets.get(target[8:-1]), database, rtp)] += 1
        elif target.startswith("/memfd:"):
            kinds["files in memory"] += 1
        else:
            kinds["other descriptors"] += 1
    return kinds


def _kind(bound: tuple[str, int, int] | None, database: int, rtp: range) -> str:
    if bound is None:
        return "other sockets"
    protocol, local, remote = bound
    if protocol.startswith("udp"):
        return "RTP sockets" if local in rtp else "other UDP sockets"
    return "database connections" if remote == database else "TCP sockets"


def _inets(pid: int) -> dict[str, tuple[str, int, int]]:
    """Inode → protocol, local and remote port."""
    found = {}
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        table = Path(f"/proc/{pid}/net/{protocol}")
        for row in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = row.split()
            local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
            found[fields[9]] = (protocol, local, remote)
    return found


def _children(pid: int) -> list[int]:
    return [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit() and _parent_of(int(one.name)) == pid]


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def _rtp_range(service: Service) -> tuple[int, int]:
    environment = Path(f"/proc/{service.process.pid}/environ").read_bytes().decode().split("\0")
    [given] = [row.partition("=")[2] for row in environment if row.startswith("DIAL_RTP_PORTS=")]
    low, high = given.split("-")
    return int(low), int(high)


def _database_port(service: Service) -> int:
    """Where the embedded PostgreSQL listens; 0 when there is none."""
    for pid in _children(service.process.pid):
        if Path(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()).name == "postgres":
            inets = _inets(pid)
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                bound = inets.get(str(entry.readlink())[8:-1])
                if bound is not None and bound[0].startswith("tcp") and bound[2] == 0:
                    return bound[1]
    return 0
