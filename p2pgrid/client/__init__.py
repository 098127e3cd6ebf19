"""What a scientist's or an owner's program holds.

Main path: ``connect`` → ``network`` (search) → ``datasets`` → ``pointer`` (names a result) →
``session`` (sends operations in batches) → ``net.link``. Beside it: ``wallet`` and ``login`` (who
we are), ``domain`` and ``users`` (what an owner does), ``launch`` (nodes on this machine).
"""
