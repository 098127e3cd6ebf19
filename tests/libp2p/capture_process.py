"""Writes every frame that passes this network namespace into a file.

python capture_process.py FILE

Prints a line once it listens; ends when its stdin closes, with the number of frames.
"""

import selectors
import socket
import sys
from pathlib import Path

ALL_PROTOCOLS = 0x0003
SO_RCVBUFFORCE = 33
BUFFER = 64 << 20
LONGEST = 1 << 17


def main(path: Path) -> None:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
    wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    wire.setblocking(False)
    frames = 0
    with path.open("wb") as file, selectors.DefaultSelector() as ready:
        ready.register(wire, selectors.EVENT_READ)
        ready.register(sys.stdin, selectors.EVENT_READ)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            events = [key.fileobj for key, _ in ready.select()]
            if wire not in events:  # the program is to end, and nothing is left
                break
            file.write(wire.recv(LONGEST))
            frames += 1
    sys.stdout.write(f"{frames}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
