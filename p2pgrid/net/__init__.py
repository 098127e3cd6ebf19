"""How bytes travel. Nobody above this package knows that there are two event loops.

Main path, in the order in which a reader opens the files:

- ``peer``: what the layers above use: blocking calls and callbacks, from any thread.
- ``portal``: the thread in which trio, and so libp2p, runs.
- ``link``: one persistent stream to one peer: requests, answers, deadlines, heartbeats.
- ``transport``: the seam below a link; ``streams`` (libp2p) and ``memory`` (faults on demand)
  stand behind it and pass one suite of tests.
- ``upgrade``: takes a stream from libp2p to TLS where the network lets it: ``tls`` is the stream,
  ``tls_listener`` where dialled peers wait for it, ``certificate`` what they show, ``framing``
  what streams over TLS and over libp2p share.
- ``pipes``: opens connections: straight, through a proxy, through a relay; ``addresses`` are where
  to. ``relay`` joins pipes, ``relay_places`` bounds them, ``splice`` copies, ``websocket`` carries.
- ``host``: the libp2p host, with only what we want switched on.
- ``bulk``: large arrays on TLS sockets, in plain threads; ``bulk_server`` lets connections in,
  ``bulk_pipe`` is one, ``certificate`` is TLS without authorities; ``bulk_ends`` and ``bulk_files``
  are where the bytes come from and go to.
- ``dht``: signed records on libp2p's Kademlia. ``kad_client`` searches: ``kad_lookup`` says whom to
  ask, ``kademlia`` drives it, ``kad_asker`` asks one peer over a ``kad_stream``; ``kad_cache``
  keeps what was found. ``kad_server`` lets questions in, ``kad_store`` answers them.
"""
