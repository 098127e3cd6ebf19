"""What reading bytes raises when they are not what they should be; for ``except`` clauses."""

import msgspec

MALFORMED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Of msgspec's decoders: wrong or cut short, a text that is no UTF-8, nested beyond all bounds.

The last two are no errors of msgspec's own: whoever catches only those lets a stranger's bytes end
the task that reads them.
"""
