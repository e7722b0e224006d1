#!/usr/bin/env python3
"""Measures a server of files under many slow downloads, and under attack. Plain Python, without packages.

  measure.py slow URL N [PID…]    opens N downloads, reads 15 bytes of each, and tells how long the first byte took and what
                                  memory the processes and the sockets need while they are open
  measure.py attack HOST:PORT N KIND PROBE…
                                  N connections that are replaced as soon as they end, while each PROBE (HOST:PORT, asked from
                                  127.0.0.2) answers /healthz; KIND is `pipeline` (many requests, reads nothing), `head` (a head
                                  that never ends), `drip` (reads one byte every 5 s), `idle`, or `heads` (HEAD, reads nothing)

The limit of open files is raised as far as it goes. All on this machine: the clients' sockets are counted with the server's.
"""
import os, re, resource, select, socket, sys, threading, time
from urllib.parse import urlsplit

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def memory_kb(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as status:
            total += int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])
    return total


def server_sockets_kb(port):
    """What the system has allocated for the server's side of connections: (received, to be sent)."""
    received = sent = 0
    for line in os.popen(f"ss -tmnH sport = :{port}"):
        found = re.search(r"skmem:\(r(\d+),rb\d+,t(\d+),tb\d+,f(\d+),w(\d+)", line)
        if found:
            received += int(found[1])
            sent += int(found[4])
    return received // 1024, sent // 1024


def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


def slow(url, count, pids):
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    before = memory_kb(pids)
    poller, began, sockets = select.epoll(), {}, {}
    start = time.monotonic()
    for _ in range(count):
        one = socket.socket()
        one.setblocking(False)
        began[one.fileno()] = time.monotonic()
        one.connect_ex((parts.hostname, parts.port))
        sockets[one.fileno()] = one
        poller.register(one, select.EPOLLOUT)
    times, statuses = [], {}
    while len(times) < count and time.monotonic() < start + 60:
        for descriptor, events in poller.poll(1):
            one = sockets[descriptor]
            if events & select.EPOLLOUT:
                one.send(request)
                poller.modify(descriptor, select.EPOLLIN)
                continue
            try:
                answer = one.recv(15)
            except OSError as error:
                answer = str(error).encode()
            times.append(time.monotonic() - began[descriptor])
            status = answer[9:12].decode(errors="replace") if answer.startswith(b"HTTP") else answer[:15]
            statuses[status] = statuses.get(status, 0) + 1
            poller.unregister(descriptor)
    times.sort()
    time.sleep(2)
    received, sent = server_sockets_kb(parts.port)
    now = memory_kb(pids)
    print(f"{count} downloads, answers {statuses}: first byte p50 {percentile(times, .5):.3f} s, p99 {percentile(times, .99):.3f} s, "
          f"max {times[-1]:.3f} s")
    print(f"  memory {before / 1024:.1f} MB before, {now / 1024:.1f} MB now, {(now - before) / count:.1f} KB each; "
          f"sockets: to be sent {sent / 1024:.1f} MB, received {received / 1024:.1f} MB")


PAYLOADS = {
    "pipeline": b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 200,
    "heads": b"HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 200,
    "head": b"GET / HTTP/1.1\r\nHost: a\r\nX: ",
    "drip": b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 200,
    "idle": b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
}


def attack(address, count, kind, stop, told):
    host, port = address.rsplit(":", 1)
    payload, poller, sockets, sent = PAYLOADS[kind], select.epoll(), {}, {}

    def open_one():
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex((host, int(port)))
        sockets[one.fileno()] = one
        sent[one.fileno()] = 0
        told["opened"] += 1
        poller.register(one, select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)

    dripped = time.monotonic()
    while not stop.is_set():
        # At most some hundred new ones at once, so that what is open is seen to.
        for _ in range(min(300, count - len(sockets))):
            open_one()
        if kind == "drip" and time.monotonic() > dripped + 5:
            dripped = time.monotonic()
            for one in list(sockets.values()):
                try:
                    one.recv(1)
                except OSError:
                    pass
        for descriptor, events in poller.poll(0.05):
            one = sockets[descriptor]
            ended = events & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP)
            try:
                while not ended and events & select.EPOLLOUT and (kind not in ("head", "idle") or not sent[descriptor]):
                    sent[descriptor] += one.send(payload)
            except BlockingIOError:
                pass
            except OSError:
                ended = True
            if ended:
                poller.unregister(descriptor)
                del sockets[descriptor]
                one.close()
        told["open"] = len(sockets)
    told["bytes"] = sum(sent.values())


def probe(address, stop, times):
    host, port = address.rsplit(":", 1)
    while not stop.is_set():
        began = time.monotonic()
        try:
            one = socket.create_connection((host, int(port)), timeout=30, source_address=("127.0.0.2", 0))
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            fine = one.recv(100).startswith(b"HTTP/1.1 200")
            one.close()
        except OSError:
            fine = False
        times.append((time.monotonic() - began, fine))
        time.sleep(0.05)


def main():
    if sys.argv[1:2] == ["slow"]:
        return slow(sys.argv[2], int(sys.argv[3]), [int(pid) for pid in sys.argv[4:]])
    if sys.argv[1:2] != ["attack"]:
        sys.exit(__doc__)
    address, count, kind, probes = sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5:]
    seconds = float(os.environ.get("SECONDS_LONG", "20"))
    stop, told = threading.Event(), {"open": 0, "opened": 0}
    # The probes are a process of their own, so that the attack does not slow them down.
    child = os.fork()
    if child == 0:
        times = {one: [] for one in probes}
        threads = [threading.Thread(target=probe, args=(one, stop, times[one])) for one in probes]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        stop.set()
        for one, thread in zip(probes, threads):
            thread.join()
            taken = sorted(seconds for seconds, _ in times[one])
            failed = sum(not fine for _, fine in times[one])
            print(f"  /healthz of {one} from 127.0.0.2: {len(taken)} asked, {failed} failed, "
                  f"p50 {percentile(taken, .5) * 1000:.1f} ms, p99 {percentile(taken, .99) * 1000:.1f} ms, max {taken[-1] * 1000:.1f} ms", flush=True)
        os._exit(0)
    attacker = threading.Thread(target=attack, args=(address, count, kind, stop, told))
    attacker.start()
    os.waitpid(child, 0)
    stop.set()
    attacker.join()
    print(f"  attack `{kind}`: {told['open']} open at the end, {told['opened']} opened")


main()
