"""Targets: what is read on this machine: files that people edit or disks break, and the store."""

import atexit
import base64
import contextlib
import functools
import socket
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from typing_extensions import override

from actors import channel
from actors.catalog import Catalog
from actors.cluster_files import load_cluster
from actors.journal import Journal
from actors.layout import NodeDirectory, NodeSettings
from actors.ports import DatasetEntry, TensorEntry
from actors.store import Store
from p2pgrid.client.local_list import DamagedFileWarning
from p2pgrid.client.peers import KnownPeer, KnownPeers
from p2pgrid.client.wallet import Wallet
from p2pgrid.errors import NodeError, WalletError
from p2pgrid.ids import DatasetId, ObjectId
from p2pgrid.protocol.arrays import header_of
from p2pgrid.protocol.messages import Operate
from tests.fuzz.wire import KEY, PEER, SEED

TARGET_S = 10.0


@functools.cache
def _folder(name: str) -> Path:
    """A directory of this process, gone with it."""
    folder = tempfile.TemporaryDirectory(prefix=f"p2pgrid-fuzz-{name}-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def wallet(data: bytes) -> None:
    """Any file is a wallet's keys, or ``WalletError``; it is never changed, and its copy is it."""
    folder = _folder("wallet")
    path = folder / "wallet.json"
    _put(path, data)
    try:
        keys = Wallet(path).keys()
    except WalletError:
        keys = ()
    assert all(len(key.seed.reveal()) == 32 for key in keys)
    assert path.read_bytes() == data
    for copy in folder.glob("wallet.json.damaged-*"):
        assert copy.read_bytes() == data
        copy.unlink()


def wallets() -> list[bytes]:
    """Seeds: a wallet with two keys, an empty one, and an encrypted one."""
    secret = base64.b64encode(SEED).decode()
    key = {"domain": PEER, "public_key": bytes(KEY.verify_key).hex(), "seed": secret}
    keys = [key | {"user": "ann", "network": "net", "name": "clinic"}, key | {"user": "bob"}]
    kdf = {"salt": "AAAAAAAAAAAAAAAAAAAAAA==", "opslimit": 3, "memlimit_bytes": 8192}
    sealed = {"seal": "secretbox", "version": 1, "box": "AAAA", "kdf": kdf}
    whole = {"seal": "none", "content": keys, "version": 1}
    return [msgspec.json.encode(it) for it in (whole, whole | {"content": []}, sealed)]


def known_peers(data: bytes) -> None:
    """Any ``peers.json`` is a tuple of peers, or is set aside."""
    path = _folder("peers") / "peers.json"
    _put(path, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedFileWarning)
        known = KnownPeers(path).all()
    assert all(isinstance(address, str) for peer in known for address in peer.addresses)


def peer_files() -> list[bytes]:
    """Seeds: two peers, and none."""
    place = f"/ip4/192.0.2.7/tcp/4001/p2p/{PEER}"
    peers = [KnownPeer(PEER, name, "domain", (place,)) for name in ("a", "b")]
    return [msgspec.json.encode(peers), b"[]"]


def node_files(data: bytes) -> None:
    """Any ``node.json``, ``cluster.json``, ``owner.pub``, ``identity``: typed, or ``NodeError``."""
    directory = NodeDirectory(_folder("node"))
    cluster = directory.path / "cluster.json"
    readers: dict[Path, Callable[[], object]] = {
        directory.settings_file: directory.settings,
        directory.owner_file: directory.owner_key,
        directory.identity_file: directory.peer_id,
        cluster: lambda: load_cluster(directory.path),
    }
    for path, read in readers.items():
        _put(path, data)
        try:
            read()
        except NodeError:
            continue


def node_seeds() -> list[bytes]:
    """Seeds: settings with and without defaults, a cluster, an owner, an identity."""
    settings = NodeSettings(name="clinic", kind="domain", port=4001, resources={"scanner": 1.0})
    cluster = {
        "address": "127.0.0.1:20000",
        "session_id": 7,
        "leader_started": 1.5,
        "token_file": "/x/token",
        "temp_dir": "/x/t",
    }
    return [
        msgspec.json.encode(settings),
        b'{"name":"n","kind":"network","port":1}',
        msgspec.json.encode(cluster),
        b"0f" * 32,
        b"k" * 32,
    ]


def catalogue(data: bytes) -> None:
    """Any row of the catalogue is a dataset's entry, or ``NodeError``."""
    try:
        Catalog(OneRow(data)).all()
    except NodeError:
        return


class OneRow(Journal):
    """A journal in which every query finds this row; SQLite itself is not under test."""

    def __init__(self, row: bytes) -> None:
        self._row = row

    @override
    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return [(self._row,)]


def entries() -> list[bytes]:
    """Seeds: an entry with a tensor."""
    tensor = TensorEntry(ObjectId(bytes(16)), "values", "float32", (3, 4))
    entry = DatasetEntry(
        DatasetId(bytes(16)), "heart", "mmHg", ("bp",), frozenset({"ann"}), True, (tensor,)
    )
    return [msgspec.msgpack.encode(entry)]


def store_channel(data: bytes) -> None:
    """Whatever comes over the store's socket, the next gateway is served."""
    path = _store()
    with contextlib.suppress(ConnectionError):  # it hangs up on what is no request
        _said(path, data[: 1 << 15])
    honest = b"".join(channel._pack(channel.Fetch(HELD), (), "link-1"))
    assert b"fetched" in _said(path, honest)


HELD = ObjectId(bytes(16))


@functools.cache
def _store() -> Path:
    folder = _folder("store")
    store = Store(folder)
    store.put([(HELD, np.arange(6, dtype="float32"))])
    channel.StoreServer(store, folder / "socket")
    return folder / "socket"


def _said(path: Path, data: bytes) -> bytes:
    """What the store answers to these bytes until it hangs up."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gateway:
        gateway.settimeout(TARGET_S)
        gateway.connect(str(path))
        gateway.sendall(data)
        gateway.shutdown(socket.SHUT_WR)
        with gateway.makefile("rb") as answers:
            return answers.read()


def channel_seeds() -> list[bytes]:
    """Seeds: one request of each kind, and all of them one after the other."""
    values = np.ones(4, dtype="float32")
    put = channel.Put([(b"q" * 16, header_of(values, buffer=0))])
    operations = msgspec.msgpack.encode(Operate((), (HELD,)))
    requests = [
        channel._pack(put, [values.tobytes()], "link-1"),
        channel._pack(channel.Execute(operations), (), "link-2"),
        channel._pack(channel.Fetch(HELD), (), "link-3"),
        channel._pack(channel.Drop(b"p" * 8), (), ""),
    ]
    each = [b"".join(chunks) for chunks in requests]
    return [*each, b"".join(each)]


def _put(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)
